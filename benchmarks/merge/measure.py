"""One measurement of the benchmark of merging, in a process of its own: prints its numbers as JSON.

    python -m benchmarks.merge.measure ours|mergekit METHOD FOLDER

Memory is what the process grew by at most while it merged, over what the libraries take.
"""

import json
import os
import shutil
import statistics
import sys
import time
from collections.abc import Callable, Sequence
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


def main(program: str, method: str, home: Path) -> dict[str, Any]:
    """Merge and copy in turn (copy, merge, merge, copy), after a first copy that is not timed; or run mergekit once."""
    import torch  # noqa: F401 - what it takes is not part of the growth

    merges = [MergeSettings.model_validate(values) for values in METHODS[method]]
    names = sorted({name for settings in merges for name in settings.used})
    sources = {name: MergeSource(home / name, read_folder(home / name), frozenset()) for name in names}
    scratch = home / "scratch"
    work = _ours if program == "ours" else _mergekit
    before = _memory("VmRSS")
    order = ["warm", "copy", "merge", "merge", "copy"] if program == "ours" else ["merge"]
    taken: dict[str, list[tuple[float, float]]] = {"warm": [], "copy": [], "merge": []}
    for kind in order:
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir()
        run = partial(work, merges, sources) if kind == "merge" else partial(_copy, sources, len(merges))
        taken[kind].append(_seconds(partial(run, scratch)))
    shutil.rmtree(scratch)
    read = sum((home / name / "model.safetensors").stat().st_size for name in names)
    seconds, processor = (statistics.mean(part) for part in zip(*taken["merge"], strict=True))
    numbers: dict[str, Any] = {"seconds": round(seconds, 2), "cpu_seconds": round(processor, 2), "read_bytes": read}
    if taken["copy"]:
        copied, by_processor = (statistics.mean(part) for part in zip(*taken["copy"], strict=True))
        numbers |= {"copy_seconds": round(copied, 2), "copy_cpu_seconds": round(by_processor, 2)}
        numbers |= {"ratio": round(seconds / copied, 2), "cpu_ratio": round(processor / by_processor, 2)}
    return numbers | {"grown_mib": round((_memory("VmHWM") - before) / 1024)}


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
            files = [(scratch / str(result)).open("wb", buffering=0) for result in range(results if number == 0 else 0)]
            while count := file.readinto(buffer):
                for target in files:
                    target.write(memoryview(buffer)[:count])
            for target in files:
                target.close()


def _seconds(work: Callable[[], None]) -> tuple[float, float]:
    """Elapsed, and of the processor, which other programs at work delay less."""
    os.sync()
    began, by_processor = time.monotonic(), time.process_time()
    work()
    return time.monotonic() - began, time.process_time() - by_processor


def _memory(field: str) -> int:
    """A field of this process's status, in KiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(field)).split()[1])


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], sys.argv[2], Path(sys.argv[3]))))
