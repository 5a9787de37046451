"""Progress: what is reported when, and no estimate before the rate is steady."""

import json
from pathlib import Path
from typing import Any

import pytest

from components.shared import log
from components.shared.log import EVENTS_IN_LOG, EVENTS_VARIABLE, Progress, emit, say
from components.shared.progress_event import ProgressEvent, duration, parse_progress


class Clock:
    """A clock that advances on command."""

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


def test_what_was_done_before_does_not_count_in_the_rate(clock: Clock) -> None:
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


def test_the_first_line_of_a_long_task_has_no_estimate(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
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


def test_text_that_utf8_cannot_encode_does_not_fail_the_log(events: Path, capsys: pytest.CaptureFixture[str]) -> None:
    emit({"kind": "state", "message": "half a pair \ud83d"})
    assert written(events)[0]["message"] == "half a pair \ufffd"
    say("s", "half a pair \ud83d")
    assert "half a pair \ufffd" in capsys.readouterr().err


def test_durations() -> None:
    assert [duration(seconds) for seconds in (4.7, 200, 7500)] == ["4 s", "3 min 20 s", "2 h 5 min"]


def test_a_job_without_a_file_for_events_writes_them_into_its_log(
    clock: Clock, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(EVENTS_VARIABLE, EVENTS_IN_LOG)
    progress = Progress("train-sft", "steps", 10, "steps")
    progress.advance(4)
    clock.now += 60
    progress.advance(6)
    progress.finish()
    found = [parse_progress(line) for line in capsys.readouterr().err.splitlines()]
    assert all(found)
    assert [(event.done, event.ended) for event in found if event] == [(0, False), (10, False), (10, True)]


@pytest.mark.parametrize("line", ["[s] w: 4 of 10 rows, 1.0/s", "{not JSON", '{"kind": "state"}', "[1]", ""])
def test_other_lines_of_a_log_are_not_progress(line: str) -> None:
    assert parse_progress(line) is None


def test_progress_in_words() -> None:
    event = ProgressEvent(step="s", what="rows read", done=4, total=10, unit="rows", rate=2.0, left=190.0)
    assert event.text == "rows read: 4 of 10 rows, 2.0/s, 3 min 10 s left"
