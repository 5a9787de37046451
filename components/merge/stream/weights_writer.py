"""Writes safetensors slice by slice, with the bytes that the library's own `save_file` would write.

The format: https://huggingface.co/docs/safetensors (8 bytes of length, JSON of types, shapes and places, data).
"""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from components.models.stored.stored_model import INDEX, SINGLE
from components.shared.errors import ModelError

if TYPE_CHECKING:
    import torch

FILE_BYTES = 5_000_000_000
"""Of tensors in one file, as transformers and mergekit write; a larger tensor has a file of its own."""


@dataclass(frozen=True)
class NewTensor:
    """A tensor that will be written: its type by safetensors' name, its shape, and its size in bytes."""

    dtype: str
    shape: tuple[int, ...]
    bytes: int

    @property
    def width(self) -> float:
        """Bytes of an element."""
        elements = 1
        for length in self.shape:
            elements *= length
        return self.bytes / max(elements, 1)


class WeightsWriter:
    """The weights of a model while they are written.

    Args:
        folder: where; it exists.
        tensors: all that will be written, by name.
        file_bytes: of tensors in one file.
    """

    def __init__(self, folder: Path, tensors: Mapping[str, NewTensor], file_bytes: int = FILE_BYTES) -> None:
        self._places: dict[str, tuple[int, int]] = {}
        self._ends: dict[str, int] = {}
        self._stack = ExitStack()
        groups = list(_groups(tensors, file_bytes))
        names = (
            [SINGLE] if len(groups) == 1 else [_numbered(number, len(groups)) for number in range(1, len(groups) + 1)]
        )
        for name, group in zip(names, groups, strict=True):
            self._begin(folder / name, group)
        if len(groups) > 1:
            _write_index(folder, dict(zip(names, groups, strict=True)))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()
        missing = [name for name, (_, place) in self._places.items() if place != self._ends[name]]
        if kind is None and missing:
            raise ModelError(f"{len(missing)} tensors were not written completely: {missing[0]}", remedy="report a bug")

    def write(self, name: str, data: "torch.Tensor") -> None:
        """Append a slice to a tensor, in the tensor's type."""
        import torch

        file, place = self._places[name]
        rest = data.contiguous().view(torch.uint8).numpy().data
        while rest:
            count = os.pwrite(file, rest, place)
            place, rest = place + count, rest[count:]
        self._places[name] = (file, place)

    def _begin(self, path: Path, tensors: Mapping[str, NewTensor]) -> None:
        """Create a file with its header. Wider types come first, so that every tensor is aligned."""
        order = sorted(tensors, key=lambda name: (-tensors[name].width, tensors[name].dtype, name))
        header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
        end = 0
        for name in order:
            start, end = end, end + tensors[name].bytes
            facts = {"dtype": tensors[name].dtype, "shape": list(tensors[name].shape), "data_offsets": [start, end]}
            header[name] = facts
        data = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
        data += b" " * (-len(data) % 8)
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
        self._stack.callback(os.close, file)
        os.write(file, len(data).to_bytes(8, "little") + data)
        for name in order:
            start, end = (8 + len(data) + offset for offset in header[name]["data_offsets"])
            self._places[name], self._ends[name] = (file, start), end


def _groups(tensors: Mapping[str, NewTensor], file_bytes: int) -> Iterator[dict[str, NewTensor]]:
    """The tensors of each file, in the order of their names."""
    group: dict[str, NewTensor] = {}
    size = 0
    for name in sorted(tensors):
        if group and size + tensors[name].bytes > file_bytes:
            yield group
            group, size = {}, 0
        group[name] = tensors[name]
        size += tensors[name].bytes
    yield group


def _numbered(number: int, files: int) -> str:
    return f"model-{number:05}-of-{files:05}.safetensors"


def _write_index(folder: Path, files: Mapping[str, Mapping[str, NewTensor]]) -> None:
    size = sum(tensor.bytes for group in files.values() for tensor in group.values())
    places = {name: file for file, group in files.items() for name in group}
    index = {"metadata": {"total_size": size}, "weight_map": places}
    (folder / INDEX).write_text(json.dumps(index, indent=2) + "\n")
