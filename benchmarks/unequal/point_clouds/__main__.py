"""SparsePipe's own workload: a U-Net of sparse convolutions on point clouds, beside a dense one, in stages by cost.

    python -m benchmarks.unequal.point_clouds [--brief]

First one scan by resolution: seconds and memory, sparse and dense. Then two processes train the sparse U-Net in
pipeline stages, each pinned to its core, the second with a part of its core's time (cgroup CPU quota): cut by measured
cost and as DeepSpeed's pipelines cut layers (uniform, parameters), in turns forth and back. The bound is what the first
trains alone, times one plus the quota; a pipeline of few layers and 16 micro-batches cannot reach it. It needs root,
cgroup v1 or v2, two cores, and a machine that does nothing else. Nothing is claimed of the paper beyond its abstract
(Zhai and others, arXiv 2012.13846).
"""

import json
import multiprocessing
import statistics
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks.machine import describe_machine
from benchmarks.unequal.point_clouds.measure import cost_of, seconds_of_geometry
from benchmarks.unequal.point_clouds.pipeline import PROCESSES, Cut, Meeting, Trained, Work, run_rank
from benchmarks.unequal.point_clouds.scans import make_scan
from benchmarks.unequal.throttled import CpuQuota

RESULTS = Path(__file__).parents[2] / "results" / "point_clouds.json"
RESOLUTIONS, BRIEF_RESOLUTIONS = (16, 32, 64, 96), (16,)
QUOTAS = (1.0, 0.5, 0.25)
TURNS: tuple[Cut, ...] = ("alone", "uniform", "parameters", "balanced", "balanced", "parameters", "uniform", "alone")
WORK, BRIEF_WORK = (
    Work(64, scans=16, steps=5, cuts=TURNS),
    Work(16, scans=4, steps=1, cuts=("alone", "uniform", "parameters", "balanced")),
)
LIMIT_SECONDS = 900.0


def main(
    brief: Annotated[bool, typer.Option(help="small sizes, one quota: shows that it runs")] = False,
    result: Annotated[Path, typer.Option(help="where the numbers are written")] = RESULTS,
) -> None:
    """Measure, print, and write the numbers."""
    scans = [by_resolution(side, repeats=1 if brief else 5) for side in (BRIEF_RESOLUTIONS if brief else RESOLUTIONS)]
    work, quotas = (BRIEF_WORK, (0.5,)) if brief else (WORK, QUOTAS)
    pipelines = [in_stages(work, quota) for quota in quotas]
    document = {"machine": describe_machine(), "scans": scans, "pipelines": pipelines}
    result.write_text(json.dumps(document, indent=1) + "\n")


def by_resolution(side: int, repeats: int) -> dict[str, Any]:
    """Seconds and bytes of one scan of a resolution, and the share of the room that has points."""
    scan = make_scan(side, seed=1)
    sparse, dense = (cost_of(scan, kind, repeats) for kind in ("sparse", "dense"))
    found = {
        "resolution": side,
        "voxels": len(scan.labels),
        "share": round(len(scan.labels) / side**3, 4),
        "geometry_seconds": round(seconds_of_geometry(scan), 4),
        "sparse_seconds": round(sparse.seconds, 4),
        "dense_seconds": round(dense.seconds, 4),
        "sparse_mib": round(sparse.kept_bytes / 2**20, 1),
        "dense_mib": round(dense.kept_bytes / 2**20, 1),
    }
    print(json.dumps(found), flush=True)
    return found


def in_stages(work: Work, quota: float) -> dict[str, Any]:
    """Train with a second process of this share of its core; scans a second beside the bound, and predicted ones."""
    trained = train_throttled(work, quota)
    seconds = {cut: statistics.mean(one.seconds for one in trained if one.cut == cut) for cut in work.cuts}
    bound = (1 + quota) / seconds["alone"]
    found = {
        "quota": quota,
        "stages": {one.cut: [(stage.kind, stage.first, stage.end) for stage in one.stages] for one in trained},
        "scans_per_second": {cut: round(work.scans / value, 2) for cut, value in seconds.items()},
        "of_the_bound": {cut: round(1 / (value * bound), 2) for cut, value in seconds.items() if cut != "alone"},
        "predicted_to_measured": {one.cut: round(one.predicted / seconds[one.cut], 3) for one in trained},
        "losses": {one.cut: one.loss for one in trained},
    }
    print(json.dumps(found), flush=True)
    return found


def train_throttled(work: Work, quota: float) -> list[Trained]:
    """What process 0 found for each cut; the second process's quota begins once both have loaded their libraries."""
    spawn = multiprocessing.get_context("spawn")
    ready = tuple(spawn.Event() for _ in range(PROCESSES))
    groups = [CpuQuota() for _ in range(PROCESSES)]
    with tempfile.TemporaryDirectory() as folder:
        meeting = Meeting(Path(folder), ready, spawn.Event(), spawn.Queue())
        running = [spawn.Process(target=run_rank, args=(rank, work, meeting), daemon=True) for rank in range(PROCESSES)]
        try:
            for process in running:
                process.start()
            for event in ready:
                if not event.wait(LIMIT_SECONDS):
                    raise SystemExit("the processes did not start")
            for process, group in zip(running, groups, strict=True):
                group.add(process.pid or 0)
            if quota < 1:
                groups[1].limit(quota)
            meeting.begin.set()
            return [meeting.found.get(timeout=LIMIT_SECONDS) for _ in work.cuts]
        finally:
            for process in running:
                process.join(20)
                with suppress(ValueError):
                    process.kill()
                process.join(20)
            for group in groups:
                group.close()


if __name__ == "__main__":
    typer.run(main)
