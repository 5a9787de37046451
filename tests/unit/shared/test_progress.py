"""Progress: what is reported when, and no estimate before there is a rate worth the name."""

import json
from pathlib import Path
from typing import Any

import pytest

from components.shared import log
from components.shared.log import EVENTS_VARIABLE, Progress, duration, emit, say


class Clock:
    """A clock that goes on when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def time(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(log, "time", clock)
    monkeypatch.delenv(EVENTS_VARIABLE, raising=False)
    return clock


@pytest.fixture
def events(clock: Clock, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv(EVENTS_VARIABLE, str(tmp_path / "events.jsonl"))
    return tmp_path / "events.jsonl"


def written(events: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in events.read_text().splitlines()]


def test_a_slow_start_gives_no_estimate_and_a_steady_rate_a_right_one(clock: Clock) -> None:
    progress = Progress("s", "w", 1000)
    # A model is loaded, and the first item is late: 1 item in 12 s would mean 200 min.
    clock.now += 12
    progress.advance()
    assert progress.left is None
    for _ in range(100):
        clock.now += 0.5
        progress.advance()
    assert progress.left == pytest.approx((1000 - 101) / 2)


def test_neither_time_alone_nor_reports_alone_make_a_rate(clock: Clock) -> None:
    progress = Progress("s", "w", 1000)
    for _ in range(50):
        clock.now += 0.1
        progress.advance(10)
    assert progress.left is None
    few = Progress("s", "w", 1000)
    for _ in range(2):
        clock.now += 60
        few.advance(10)
    assert few.left is None


def test_what_was_done_before_is_no_part_of_the_rate(clock: Clock) -> None:
    progress = Progress("s", "w", 1000, already=900)
    for _ in range(30):
        clock.now += 1
        progress.advance()
    assert progress.left == pytest.approx(70)


def test_without_a_total_or_with_nothing_left_there_is_no_estimate(clock: Clock) -> None:
    for total in (None, 40):
        progress = Progress("s", "w", total)
        for _ in range(40):
            clock.now += 1
            progress.advance()
        assert progress.left is None


def test_the_first_line_of_a_long_task_promises_nothing(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    progress = Progress("s", "w", 1000)
    for _ in range(60):
        clock.now += 1
        progress.advance()
    first, *_, last = capsys.readouterr().err.splitlines()
    assert "left" not in first
    assert last.endswith("left")


def test_an_activity_begins_and_ends_once(events: Path, clock: Clock) -> None:
    progress = Progress("s", "w", 4, already=2)
    progress.advance(2)
    assert progress.complete
    progress.finish()
    progress.finish()
    assert [(event["done"], event["ended"]) for event in written(events)] == [(2, False), (4, True)]
    assert [event["left"] for event in written(events)] == [None, None]


def test_what_utf8_cannot_hold_ends_no_log(events: Path, capsys: pytest.CaptureFixture[str]) -> None:
    emit({"kind": "state", "message": "half a pair \ud83d"})
    assert written(events)[0]["message"] == "half a pair \ufffd"
    say("s", "half a pair \ud83d")
    assert "half a pair \ufffd" in capsys.readouterr().err


def test_durations() -> None:
    assert [duration(seconds) for seconds in (4.7, 200, 7500)] == ["4 s", "3 min 20 s", "2 h 5 min"]
