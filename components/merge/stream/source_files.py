"""The weights of the merged models, read slice by slice: memory holds one slice of each model, whatever its size.

Files are read, not mapped: mapped pages would count as this process's memory.
"""

import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Self

import numpy as np
import numpy.typing as npt

from components.merge.source import FLOATS, MergeSource
from components.models.stored.stored_model import StoredTensor
from components.shared.errors import ModelError

if TYPE_CHECKING:
    import torch

SLICE_ELEMENTS = 1 << 17
"""512 KiB of float32: a slice of a few models fits in a core's cache."""

SLICES_IN_CHUNK = 8
"""A method that looks ahead reads chunks of as many slices."""

SHORTEST_SLICE = 64
"""Elements. A shorter rest joins the slice before it: torch sums a single column in another order than many."""

Slices = Mapping[str, "torch.Tensor"]
"""One slice of a tensor in several models, in float32, shape (elements,), by the models' names."""


class SourceFiles:
    """The files of the merged models, open for reading by several threads, each of which has buffers of its own.

    Args:
        models: by name.
        slice_elements: elements of a slice.
    """

    def __init__(self, models: Mapping[str, MergeSource], slice_elements: int = SLICE_ELEMENTS) -> None:
        self.models, self.slice_elements = models, slice_elements
        self._files: dict[tuple[str, str], int] = {}
        self._memory = _Memory()
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def floats(self, model: str, tensor: str, start: int, stop: int) -> "torch.Tensor":
        """Elements of a tensor in float32, shape (stop - start,), valid until the model's next elements are read.

        What is part of the last elements that were read is not read again.
        """
        name, begin, data = self._memory.read.get(model, ("", 0, None))
        if name != tensor or data is None or start < begin or stop > begin + len(data):
            begin, data = start, self._load(model, tensor, start, stop)
            self._memory.read[model] = (tensor, begin, data)
        return data[start - begin : stop - begin]

    def raw(self, model: str, tensor: str, start: int, stop: int) -> npt.NDArray[np.uint8]:
        """Bytes of a tensor, as an array of them."""
        found = np.empty(stop - start, np.uint8)
        self._fill(model, tensor, start, found)
        return found

    def stored(self, model: str, tensor: str) -> StoredTensor:
        """A tensor's type, shape and place."""
        return self.models[model].stored.tensors[tensor]

    def _load(self, model: str, tensor: str, start: int, stop: int) -> "torch.Tensor":
        import torch

        dtype = getattr(torch, FLOATS[self.stored(model, tensor).dtype])
        target = self._buffer(model, torch.float32, stop - start)
        source = target if dtype == torch.float32 else self._buffer(str(dtype), dtype, stop - start)
        self._fill(model, tensor, start * dtype.itemsize, source.view(torch.uint8).numpy())
        return target if source is target else target.copy_(source)

    def _buffer(self, key: str, dtype: "torch.dtype", elements: int) -> "torch.Tensor":
        """Memory that is used again for every slice: fresh memory would cost as much time as the reading."""
        import torch

        buffers = self._memory.buffers
        if key not in buffers or len(buffers[key]) < elements:
            buffers[key] = torch.empty(elements, dtype=dtype)
        return buffers[key][:elements]

    def _fill(self, model: str, tensor: str, start: int, target: npt.NDArray[np.uint8]) -> None:
        stored, done = self.stored(model, tensor), 0
        file = self._open(model, stored.file)
        while done < len(target):
            count = os.preadv(file, [target.data[done:]], stored.offset + start + done)
            if not count:
                raise ModelError(
                    f"{self.models[model].folder / stored.file} ended inside {tensor!r}",
                    rule="a model's files do not change while it is merged",
                    remedy="copy the model again, and repeat the merge",
                )
            done += count

    def _open(self, model: str, file: str) -> int:
        if (model, file) not in self._files:
            # Two threads may both open it: each descriptor is closed.
            opened = os.open(self.models[model].folder / file, os.O_RDONLY | os.O_CLOEXEC)
            self._files[model, file] = opened
            self._stack.callback(os.close, opened)
        return self._files[model, file]


class _Memory(threading.local):
    """One thread's elements that were read last, and its buffers."""

    def __init__(self) -> None:
        self.read: dict[str, tuple[str, int, torch.Tensor]] = {}
        """By model: the tensor, where the elements begin, and the elements."""
        self.buffers: dict[str, torch.Tensor] = {}


@dataclass(frozen=True)
class SlicedTensor:
    """One tensor of floating-point numbers in all models.

    Attributes:
        files: the models' files.
        name: the tensor's.
        elements: how many it has.
    """

    files: SourceFiles
    name: str
    elements: int

    @property
    def longest_slice(self) -> int:
        """Elements of the longest slice."""
        return min(self.elements, self.files.slice_elements + SHORTEST_SLICE)

    @property
    def is_one_chunk(self) -> bool:
        """Whether all its elements are read at once by a look ahead, so that they are in memory when slices follow."""
        return self.elements < self.files.slice_elements * SLICES_IN_CHUNK + SHORTEST_SLICE

    def slices(self, models: Sequence[str]) -> Iterator[Slices]:
        """The tensor in those models, slice by slice in order; each is valid until the next, and may not be changed."""
        return self._parts(models, self.files.slice_elements)

    def chunks(self, models: Sequence[str]) -> Iterator[Slices]:
        """The same in larger pieces, for a look at all of it first: a tensor of one chunk is then read only once."""
        return self._parts(models, self.files.slice_elements * SLICES_IN_CHUNK)

    def _parts(self, models: Sequence[str], size: int) -> Iterator[Slices]:
        for start, stop in bounds(self.elements, size):
            yield {model: self.files.floats(model, self.name, start, stop) for model in models}


def bounds(elements: int, size: int) -> Iterator[tuple[int, int]]:
    """Where slices of `size` elements begin and end; the last is up to `SHORTEST_SLICE` longer."""
    start = 0
    while start < elements:
        stop = min(start + size, elements)
        stop = elements if elements - stop < SHORTEST_SLICE else stop
        yield start, stop
        start = stop
