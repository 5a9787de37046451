"""A model's files, read without torch: config.json, the headers of its safetensors, its tokenizer.

The format of the headers: https://huggingface.co/docs/safetensors (8 bytes of length, then JSON).
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from components.models.reference import handed_on, is_hub_id, open_model
from components.models.stored.hub_files import HubFiles
from components.shared.errors import ModelError, NotFoundError
from components.shared.log import say
from components.shared.store.open_store import open_store
from components.shared.store.store import Entry

CONFIG = "config.json"
ADAPTER_CONFIG = "adapter_config.json"
SINGLE = "model.safetensors"
INDEX = "model.safetensors.index.json"
LONGEST_HEADER = 100_000_000
"""Bytes; the limit of the safetensors library."""


class Readable(Protocol):
    """A store or a hub, as far as it is needed to read a model's files."""

    def list(self, prefix: str = "") -> Iterator[Entry]: ...
    def read(self, key: str) -> bytes: ...
    def read_chunks(self, key: str) -> Iterator[bytes]: ...


@dataclass(frozen=True)
class StoredTensor:
    """A tensor in a file.

    Attributes:
        dtype: its type by safetensors' name (F32, BF16, …).
        shape: its shape.
        offset: where its data begins, in bytes from the start of the file.
        bytes: how long its data is.
        file: the file's name.
    """

    dtype: str
    shape: tuple[int, ...]
    offset: int
    bytes: int
    file: str

    @property
    def elements(self) -> int:
        """The number of its elements."""
        count = 1
        for length in self.shape:
            count *= length
        return count


@dataclass(frozen=True)
class StoredModel:
    """A model's files.

    Attributes:
        reference: how a person names the model.
        config: config.json.
        tensors: by name, from the files that transformers loads; empty where no weights are safetensors.
        names: of all files in the folder.
    """

    reference: str
    config: Mapping[str, Any]
    tensors: Mapping[str, StoredTensor]
    names: frozenset[str]
    _read: Callable[[str], bytes] = field(repr=False)

    @property
    def text_config(self) -> Mapping[str, Any]:
        """The language model's part of config.json: all of it, except for multimodal models."""
        for name in ("text_config", "llm_config", "language_config"):
            if isinstance(part := self.config.get(name), dict):
                return part
        return self.config

    @property
    def files(self) -> tuple[str, ...]:
        """Names of the files that hold the tensors."""
        return tuple(sorted({tensor.file for tensor in self.tensors.values()}))

    def json(self, name: str) -> dict[str, Any]:
        """A JSON file of the folder; empty where there is none. Raises ModelError."""
        return _parse(self._read(name), self.reference, name) if name in self.names else {}

    def lines(self, name: str) -> list[str]:
        """The lines of a text file of the folder; none where there is no such file."""
        return self._read(name).decode(errors="replace").splitlines() if name in self.names else []


def read_model(reference: str) -> StoredModel | None:
    """A model's files where they are; None for a hub id where the hub cannot be reached. Raises ModelError."""
    reference = handed_on(reference)
    if is_hub_id(reference):
        return _read_hub(reference)
    store, part = open_model(reference)
    return _read_store(reference, store, part)


def _read_hub(reference: str) -> StoredModel | None:
    """A model on the hub, by its small files and headers; None, which is logged, where the hub cannot be reached."""
    try:
        from httpx2 import HTTPError  # what huggingface_hub asks with
        from huggingface_hub import HfFileSystem
        from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled
    except ModuleNotFoundError as error:
        _note_unasked(reference, error)
        return None
    try:
        return _read_store(reference, HubFiles(reference, HfFileSystem(skip_instance_cache=True)), "")
    except (HfHubHTTPError, OfflineModeIsEnabled, HTTPError, OSError) as error:
        _note_unasked(reference, error)
        return None


def _note_unasked(reference: str, error: Exception) -> None:
    reason = (str(error).strip() or type(error).__name__).splitlines()[0]
    say("models", f"{reference}: judged once a job has its files, since the hub cannot be asked from here: {reason}")


def read_folder(folder: Path, reference: str = "") -> StoredModel:
    """The files of a model in a folder of this machine. Raises ModelError."""
    return _read_store(reference or str(folder), open_store(str(folder)), "")


def read_tensors(folder: Path, reference: str = "") -> dict[str, StoredTensor]:
    """The tensors of a folder of this machine, which need not have a config.json. Raises ModelError."""
    return _Files(reference or str(folder), open_store(str(folder)), "").tensors()


class _Files:
    """A model's files in a store, below `part`."""

    def __init__(self, reference: str, store: Readable, part: str) -> None:
        self.reference, self.store, self.part = reference, store, part
        self.sizes = {entry.key.removeprefix(part): entry.bytes for entry in store.list(part)}

    def read(self, name: str) -> bytes:
        return self.store.read(f"{self.part}{name}")

    def tensors(self) -> dict[str, StoredTensor]:
        files, listed = _weight_files(self.reference, self.sizes, self.read)
        found: dict[str, StoredTensor] = {}
        for name in files:
            head = _read_head(self.store, f"{self.part}{name}", self.reference, self.sizes[name])
            found.update({key: StoredTensor(*facts, file=name) for key, facts in head.items()})
        _require_listed(self.reference, listed, found)
        return found


def _read_store(reference: str, store: Readable, part: str) -> StoredModel:
    files = _Files(reference, store, part)
    try:
        config = _parse(files.read(CONFIG), reference, CONFIG)
    except NotFoundError as error:
        raise ModelError(
            f"{reference!r} lacks {CONFIG}", remedy="copy the model's complete folder, with its config.json"
        ) from error
    return StoredModel(reference, config, files.tensors(), frozenset(files.sizes), files.read)


def _weight_files(
    reference: str, sizes: Mapping[str, int], read: Callable[[str], bytes]
) -> tuple[list[str], list[str]]:
    """The files that transformers would load, and the tensors that an index promises in them."""
    if SINGLE in sizes:
        return [SINGLE], []
    if INDEX not in sizes:
        return [], []
    places = _parse(read(INDEX), reference, INDEX).get("weight_map", {})
    files = sorted(set(places.values()))
    if absent := [name for name in files if name not in sizes]:
        raise ModelError(
            f"{reference!r} lacks {shown(absent)}, which its {INDEX} names",
            rule="a model has every file of its index",
            remedy="copy the missing files into the model's folder",
        )
    return files, list(places)


def _require_listed(reference: str, listed: list[str], tensors: Mapping[str, StoredTensor]) -> None:
    if absent := [name for name in listed if name not in tensors]:
        raise ModelError(
            f"{reference!r} lacks {len(absent)} tensors that its {INDEX} names: {shown(absent)}",
            rule="an index's files contain every tensor that it names",
            remedy="copy the model again; its index is of other files",
        )


def _read_head(
    store: Readable, key: str, reference: str, size: int
) -> dict[str, tuple[str, tuple[int, ...], int, int]]:
    """Type, shape, and offset and length of the data, by name, from a file's first bytes."""
    data, length = b"", None
    for chunk in store.read_chunks(key):
        data += chunk
        if length is None and len(data) >= 8:
            length = int.from_bytes(data[:8], "little")
        if length is None or length > LONGEST_HEADER or len(data) >= 8 + length:
            break
    if length is None or length > LONGEST_HEADER or len(data) < 8 + length:
        raise _no_safetensors(reference, key)
    try:
        head = json.loads(data[8 : 8 + length])
        head.pop("__metadata__", None)
        end = max((entry["data_offsets"][1] for entry in head.values()), default=0)
        found = {}
        for name, entry in head.items():
            start, stop = entry["data_offsets"]
            found[name] = (entry["dtype"], tuple(entry["shape"]), 8 + length + start, stop - start)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise _no_safetensors(reference, key) from error
    if size != 8 + length + end:
        raise ModelError(
            f"{reference!r}: {key} has {size} bytes, its header states {8 + length + end}",
            rule="a safetensors file is complete",
            remedy="copy the file again: it was truncated or damaged in transit",
        )
    return found


def _no_safetensors(reference: str, key: str) -> ModelError:
    return ModelError(
        f"{reference!r}: {key} is not a safetensors file",
        rule="a safetensors file begins with the length of its header, and the header is JSON",
        remedy="copy the file again: it is truncated or damaged, or a Git LFS pointer in its place (git lfs pull)",
    )


def _parse(data: bytes, reference: str, name: str) -> dict[str, Any]:
    try:
        content = json.loads(data)
    except ValueError as error:
        raise ModelError(f"{reference!r}: {name} is not JSON: {error}", remedy="copy the file again") from error
    if not isinstance(content, dict):
        raise ModelError(f"{reference!r}: {name} is not a JSON object", remedy="copy the file again")
    return content


def shown(names: list[str], most: int = 5) -> str:
    """The first few names, and how many more there are."""
    listed = ", ".join(names[:most])
    return f"{listed} and {len(names) - most} more" if len(names) > most else listed
