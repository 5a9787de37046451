"""One measurement of the benchmark of merging, in a process of its own: prints its numbers as JSON.

    python -m benchmarks.merge.measure ours|mergekit METHOD FOLDER

A merge and a copy of the same bytes take turns, from a page cache that holds the sources (warm) and from one that does
not (cold); what either writes is on the disk (fsync) when its time ends. Memory is what the process grew by at most
while it merged, over what the libraries take.
"""

import json
import os
import shutil
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from components.merge.methods.registry import METHODS as MERGE_METHODS
from components.merge.run_mergekit import run_mergekit
from components.merge.settings import MergeSettings
from components.merge.source import MergeSource
from components.merge.stream.source_files import SLICE_ELEMENTS
from components.merge.stream.stream_weights import StreamedMerge, stream_weights
from components.models.stored.stored_model import read_folder

NAMES = ("base", "sft", "kto", "third")
PAIR = [{"name": "sft"}, {"name": "kto"}]
RATIOS = (0.05, 0.25, 0.5, 0.75, 0.95)
METHODS: dict[str, list[dict[str, Any]]] = {
    "linear": [{"method": "linear", "models": PAIR}],
    "slerp": [{"method": "slerp", "models": PAIR, "t": 0.3}],
    "ties": [{"method": "ties", "base": "base", "models": [{"name": name} for name in NAMES[1:]]}],
    "sweep": [{"models": [{"name": "sft", "weight": ratio}, {"name": "kto", "weight": 1 - ratio}]} for ratio in RATIOS],
}
PIECE = SLICE_ELEMENTS * 4
ROUND = ("copy", "merge", "merge", "copy")
"""So that a machine that becomes slower or faster meanwhile does not favour either."""
CACHES = ("warm", "cold")


def main(program: str, method: str, home: Path) -> dict[str, Any]:
    """Merge and copy in turn, after a first copy that is not timed; or run mergekit once."""
    import torch  # noqa: F401 - what it takes is not part of the growth

    merges = [MergeSettings.model_validate(values) for values in METHODS[method]]
    names = sorted({name for settings in merges for name in settings.used})
    sources = {name: MergeSource(home / name, read_folder(home / name), frozenset()) for name in names}
    read = [home / name / "model.safetensors" for name in names]
    scratch = home / "scratch"
    before = _memory("VmRSS")
    if program == "mergekit":
        seconds, processor = _taken(partial(_mergekit, merges, sources, scratch), scratch)
        numbers: dict[str, Any] = {"seconds": round(seconds, 2), "cpu_seconds": round(processor, 2)}
    else:
        work = {
            "copy": partial(_copy, sources, len(merges), scratch),
            "merge": partial(_ours, merges, sources, scratch),
        }
        _taken(work["copy"], scratch)
        numbers = {cache: _in_turn(work, scratch, read if cache == "cold" else ()) for cache in CACHES}
    shutil.rmtree(scratch)
    numbers["read_bytes"] = sum(path.stat().st_size for path in read)
    return numbers | {"grown_mib": round((_memory("VmHWM") - before) / 1024)}


def _in_turn(work: Mapping[str, Callable[[], None]], scratch: Path, uncached: Sequence[Path]) -> dict[str, float]:
    """Means of both over a round, and their ratios; `uncached` files leave the page cache before each."""
    taken: dict[str, list[tuple[float, float]]] = {kind: [] for kind in work}
    for kind in ROUND:
        for path in uncached:
            _drop_from_cache(path)
        taken[kind].append(_taken(work[kind], scratch))
    means = {kind: [statistics.mean(part) for part in zip(*pairs, strict=True)] for kind, pairs in taken.items()}
    (seconds, processor), (copied, by_processor) = means["merge"], means["copy"]
    return {
        **{"seconds": round(seconds, 2), "cpu_seconds": round(processor, 2)},
        **{"copy_seconds": round(copied, 2), "copy_cpu_seconds": round(by_processor, 2)},
        **{"ratio": round(seconds / copied, 2), "cpu_ratio": round(processor / by_processor, 2)},
    }


def _drop_from_cache(path: Path) -> None:
    with path.open("rb") as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def _ours(merges: Sequence[MergeSettings], sources: dict[str, MergeSource], scratch: Path) -> None:
    streamed = []
    for number, settings in enumerate(merges):
        folder = scratch / str(number)
        folder.mkdir()
        method = MERGE_METHODS[settings.method]
        streamed.append(StreamedMerge(method, settings, sources[settings.donor].dtype, folder))
    stream_weights(sources, streamed)


def _mergekit(merges: Sequence[MergeSettings], sources: dict[str, MergeSource], scratch: Path) -> None:
    (settings,) = merges
    run_mergekit(settings, sources, scratch)


def _copy(sources: dict[str, MergeSource], results: int, scratch: Path) -> None:
    """Read every source once and write as much as the results have, in pieces of the merge's size."""
    buffer = bytearray(PIECE)
    for number, source in enumerate(sources.values()):
        with (source.folder / "model.safetensors").open("rb", buffering=0) as file:
            files = [
                (scratch / f"{result}.safetensors").open("wb", buffering=0)
                for result in range(results if number == 0 else 0)
            ]
            while count := file.readinto(buffer):
                for target in files:
                    target.write(memoryview(buffer)[:count])
            for target in files:
                target.close()


def _taken(work: Callable[[], None], scratch: Path) -> tuple[float, float]:
    """Seconds by the clock until what it wrote is on the disk, and of the processor, which other programs delay less.

    Processor seconds are of all threads; the clock's are fewer where several of them work.
    """
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir()
    os.sync()
    began, by_processor = time.monotonic(), time.process_time()
    work()
    for path in sorted(scratch.rglob("*.safetensors")):
        with path.open("rb") as file:
            os.fsync(file.fileno())
    return time.monotonic() - began, time.process_time() - by_processor


def _memory(field: str) -> int:
    """A field of this process's status, in KiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(field)).split()[1])


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], sys.argv[2], Path(sys.argv[3]))))
