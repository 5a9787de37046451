"""Merges tensor by tensor and slice by slice: read, add in float32, write. Several merges share the reading."""

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from components.merge.finite import require_finite
from components.merge.methods.method import Combine, MergeMethod
from components.merge.methods.options import MergeOptions
from components.merge.source import DTYPES, FLOATS, MergeSource
from components.merge.stream.source_files import SLICE_ELEMENTS, SlicedTensor, SourceFiles, bounds
from components.merge.stream.weights_writer import FILE_BYTES, NewTensor, WeightsWriter
from components.shared.errors import ModelError

THREADS = 4
"""At most; beyond a few, memory's bandwidth is the limit. Each takes a few slices of every model."""

STORED = {name: stored for stored, name in DTYPES.items()}
"""safetensors' names of the types that are written, by torch's names."""


@dataclass(frozen=True)
class StreamedMerge:
    """One merge that is written.

    Attributes:
        method: a method with `prepare`.
        options: its models and parameters.
        dtype: torch's name of the type that is written.
        folder: where to; it exists.
    """

    method: MergeMethod
    options: MergeOptions
    dtype: str
    folder: Path


Target = tuple[StreamedMerge, WeightsWriter]


def stream_weights(
    sources: Mapping[str, MergeSource],
    merges: Sequence[StreamedMerge],
    slice_elements: int = SLICE_ELEMENTS,
    file_bytes: int = FILE_BYTES,
) -> None:
    """Merge the sources' tensors, each slice of which is read once for all merges.

    Args:
        sources: models with equal tensors, by name; all that the merges name.
        merges: what to write.
        slice_elements: elements that are read at a time; memory is a few times that for each source.
        file_bytes: of tensors in one written file.

    Raises:
        ModelError: a tensor that is not of floating-point numbers differs between the sources, or a merged value is
            not finite in the type that is written.
    """
    first = next(iter(sources.values()))
    with ExitStack() as stack:
        files = stack.enter_context(SourceFiles(sources, slice_elements))
        targets: list[Target] = []
        for merge in merges:
            written = {name: _written(first, name, merge.dtype) for name in first.shapes}
            targets.append((merge, stack.enter_context(WeightsWriter(merge.folder, written, file_bytes))))
        names = sorted(first.shapes, key=lambda name: -first.stored.tensors[name].elements)
        _in_threads(lambda name: _merge_or_copy(files, name, targets), names)


def _in_threads(work: Callable[[str], None], names: Sequence[str]) -> None:
    """Do the work for all names, the longest first; an error ends it."""
    import torch

    # One thread of torch's in each: results then do not depend on the machine, as sums by several threads would.
    before = torch.get_num_threads()
    pool = ThreadPoolExecutor(min(THREADS, len(os.sched_getaffinity(0))), initializer=lambda: torch.set_num_threads(1))
    try:
        for _ in pool.map(work, names):
            pass
    finally:
        pool.shutdown(cancel_futures=True)
        torch.set_num_threads(before)


def _merge_or_copy(files: SourceFiles, name: str, targets: Sequence[Target]) -> None:
    if all(files.stored(model, name).dtype in FLOATS for model in files.models):
        _merge(files, name, targets)
    else:
        _copy(files, name, targets)


def _written(source: MergeSource, name: str, dtype: str) -> NewTensor:
    import torch

    stored = source.stored.tensors[name]
    if stored.dtype not in FLOATS:
        return NewTensor(stored.dtype, stored.shape, stored.bytes)
    width: int = getattr(torch, dtype).itemsize
    return NewTensor(STORED[dtype], stored.shape, stored.elements * width)


def _merge(files: SourceFiles, name: str, targets: Sequence[Target]) -> None:
    import torch

    elements = files.stored(next(iter(files.models)), name).elements
    if not elements:
        return
    tensor = SlicedTensor(files, name, elements)
    work = [(_prepared(merge, tensor), getattr(torch, merge.dtype), writer) for merge, writer in targets]
    for slices in tensor.slices(list(files.models)):
        for combine, dtype, writer in work:
            merged = combine(slices)
            require_finite(name, merged, dtype, slices)
            writer.write(name, merged.to(dtype))


def _prepared(merge: StreamedMerge, tensor: SlicedTensor) -> Combine:
    assert merge.method.prepare is not None, f"mergekit runs {merge.method.name}"
    return merge.method.prepare(merge.options, tensor)


def _copy(files: SourceFiles, name: str, targets: Sequence[Target]) -> None:
    """Copy a tensor of whole numbers or masks, which has no mean, and must be equal in all models."""
    import torch

    first, *others = files.models
    stored = files.stored(first, name)
    for other in others:
        if files.stored(other, name).dtype != stored.dtype:
            raise _difference(files, name, first, other)
    for start, stop in bounds(stored.bytes, files.slice_elements):
        data = files.raw(first, name, start, stop)
        for other in others:
            if (files.raw(other, name, start, stop) != data).any():
                raise _difference(files, name, first, other)
        for _, writer in targets:
            writer.write(name, torch.from_numpy(data))


def _difference(files: SourceFiles, name: str, first: str, other: str) -> ModelError:
    types = " | ".join(files.stored(model, name).dtype for model in (first, other))
    return ModelError(
        f"{first!r} and {other!r} cannot be merged: {name} differs ({types})",
        rule="only floating-point numbers are merged; other tensors are copied, so they must be equal",
        remedy="merge models that were trained from the same base",
    )
