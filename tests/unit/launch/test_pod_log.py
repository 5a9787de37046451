"""The log of a pod is relayed completely and once, whatever breaks its connection."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from components.launch.follow.pod_log import PodLog, line_time
from components.shared.log import EVENTS_IN_LOG, EVENTS_VARIABLE, Progress
from tests.unit.launch.plain_kind import Bench, until

Capture = pytest.CaptureFixture[str]


@contextmanager
def reading(bench: Bench) -> Iterator[PodLog]:
    made = bench.pod("pod-0")
    log = PodLog(bench.cluster, made, lambda: bench.api.get("pods", "pod-0"), bench.api.clock)
    try:
        yield log
    finally:
        log.finish()


def test_broken_connections_neither_lose_nor_repeat_lines(bench: Bench, capsys: Capture) -> None:
    lines = [f"line {number}" for number in range(200)]
    with reading(bench):
        for start in range(0, 200, 20):
            # Lines with one timestamp, and of the second in which the connection breaks.
            bench.api.say("pod-0", *lines[start : start + 20])
            time.sleep(0.02)
            bench.api.cut()
        bench.end_pod("pod-0", 0)
    assert capsys.readouterr().err.splitlines() == lines


def test_a_log_that_cannot_be_read_yet(bench: Bench, capsys: Capture) -> None:
    bench.api.refused["get"] = (400, 'container "main" in pod "pod-0" is waiting to start: ContainerCreating')
    with reading(bench):
        bench.api.say("pod-0", "first")
        time.sleep(0.1)
        bench.api.refused.clear()
        bench.end_pod("pod-0", 0)
    assert capsys.readouterr().err == "first\n"


def test_the_log_ends_with_its_pod(bench: Bench, capsys: Capture) -> None:
    with reading(bench) as log:
        bench.api.say("pod-0", "last words")
        until(lambda: log.tail)
        bench.api.drop("pods", "pod-0")
    assert list(log.tail) == ["last words"]


def test_progress_becomes_events_again(
    bench: Bench, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(EVENTS_VARIABLE, EVENTS_IN_LOG)
    progress = Progress("train-sft", "steps", 10, "steps")
    progress.advance(4)
    capsys.readouterr()
    progress.finish()
    line = capsys.readouterr().err.strip()
    monkeypatch.setenv(EVENTS_VARIABLE, str(tmp_path / "events"))
    with reading(bench):
        bench.api.say("pod-0", "no progress", line)
        bench.end_pod("pod-0", 0)
    (event,) = (json.loads(one) for one in (tmp_path / "events").read_text().splitlines())
    told = {"kind": "progress", "step": "train-sft", "what": "steps", "done": 4, "total": 10, "unit": "steps"}
    assert told.items() <= event.items()
    assert "[train-sft] steps: 4 of 10 steps, " in capsys.readouterr().err


def test_times_of_lines_in_any_zone_compare() -> None:
    first, then = line_time("2026-01-01T12:00:00.9Z"), line_time("2026-01-01T13:00:00.900000001+01:00")
    assert first is not None and then is not None and first < then
    assert line_time("unable to retrieve container logs") is None
