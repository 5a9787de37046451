"""What a run's folder records, and how it is shown."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from components.shared.errors import NotFoundError, TutelageError
from pipelines.local.run_folder import RunFolder, TaskState, Tracker
from pipelines.local.show_progress import Lines, describe_activity, states_table
from tests.deadlines import ended, next_line

GONE = 2**22 + 1  # above the largest process id of Linux


def write_events(folder: RunFolder, *events: dict[str, object]) -> None:
    folder.path.mkdir(parents=True, exist_ok=True)
    with folder.events_file.open("a") as file:
        for event in events:
            file.write(json.dumps({"time": time.time(), **event}) + "\n")


def state(task: str, state: str, **more: object) -> dict[str, object]:
    return {"kind": "state", "task": task, "state": state, **more}


def progress(step: str, what: str, done: int, **more: Any) -> dict[str, Any]:
    return {"kind": "progress", "step": step, "what": what, "done": done, "total": 10, "unit": "rows", **more}


def test_states_follow_the_events(tmp_path: Path) -> None:
    folder = RunFolder("demo", tmp_path)
    write_events(
        folder,
        state("collect", "running", process=1),
        state("collect", "done", address="collect/abc", seconds=2.5),
        state("curate", "running", process=os.getpid()),
        progress("curate", "labels", 5, rate=2.0, left=2.5),
    )
    states = folder.states(["collect", "curate", "synthesize"])
    assert [task.state for task in states.values()] == ["done", "running", "waiting"]
    assert states["collect"].address == "collect/abc"
    assert describe_activity(states["curate"].activity) == "labels 5/10 rows, 2.0/s, 2 s left"


def test_a_running_task_whose_process_is_gone_is_interrupted(tmp_path: Path) -> None:
    folder = RunFolder("demo", tmp_path)
    write_events(folder, state("train-sft", "running", process=GONE))
    assert folder.states(["train-sft"])["train-sft"].state == "interrupted"


def test_a_retry_clears_the_failure_before(tmp_path: Path) -> None:
    folder = RunFolder("demo", tmp_path)
    write_events(
        folder,
        state("curate", "running", process=1),
        state("curate", "failed", message="teacher away"),
        state("curate", "running", process=os.getpid()),
    )
    task = folder.states(["curate"])["curate"]
    assert (task.state, task.message) == ("running", "")


def test_half_a_line_is_read_once_it_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    line = json.dumps({"time": 1.0, **state("collect", "running", process=1)}) + "\n"
    tracker = Tracker(path, ["collect"])
    path.write_text(line[:20])
    assert tracker.poll() == []
    with path.open("a") as file:
        file.write(line[20:])
    assert len(tracker.poll()) == 1
    assert tracker.tasks["collect"].state == "running"


def test_two_processes_cannot_run_the_same_recipe(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from pipelines.local.run_folder import RunFolder\n"
        "with RunFolder('demo', Path(sys.argv[1])).locked(): print('held', flush=True); time.sleep(60)"
    )
    holder = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    try:
        assert next_line(holder.stdout) == "held\n"
        with pytest.raises(TutelageError, match="already running"), RunFolder("demo", tmp_path).locked():
            pass
    finally:
        holder.kill()
        ended(holder)
    with RunFolder("demo", tmp_path).locked():
        pass


def test_an_unknown_run_names_those_there_are(tmp_path: Path) -> None:
    RunFolder("demo", tmp_path).path.mkdir(parents=True)
    with pytest.raises(NotFoundError, match="allowed: demo"):
        RunFolder("other", tmp_path).recipe()


def test_a_log_gets_plain_lines_without_control_characters(tmp_path: Path) -> None:
    folder, out = RunFolder("demo", tmp_path), tmp_path / "out"
    write_events(folder, state("collect", "running", process=1), state("collect", "done", address="collect/abc"))
    tracker = Tracker(folder.events_file, ["collect"])
    with out.open("w") as file, Lines(Console(file=file)) as lines:
        lines.show(tracker.poll(), tracker.tasks)
    text = out.read_text()
    assert "\x1b" not in text
    said = [line.split(" ", 1)[1].split(" in ")[0] for line in text.splitlines()]
    assert said == ["collect: running", "collect: done"], "events that arrive at once are reported one by one"
    assert "collect/abc" in text


def test_a_terminal_shows_every_task_with_its_bar(tmp_path: Path) -> None:
    folder = RunFolder("demo", tmp_path)
    write_events(
        folder,
        state("collect", "done", address="collect/abc"),
        state("synthesize", "running", process=os.getpid()),
        {
            "kind": "progress",
            "step": "synthesize",
            "what": "teacher",
            "done": 30,
            "total": 60,
            "unit": "rows",
            "rate": 1,
        },
    )
    console = Console(width=120, force_terminal=True, record=True, file=(tmp_path / "out").open("w"))
    console.print(states_table(folder.states(["collect", "synthesize", "select"])))
    text = console.export_text()
    assert "teacher 30/60 rows" in text and "select" in text and "━" in text


def test_a_rate_or_an_estimate_that_is_not_known_is_not_shown() -> None:
    assert describe_activity(progress("curate", "labels", 0, rate=0.0, left=None)) == "labels 0/10 rows"
    assert describe_activity(progress("curate", "labels", 1, rate=0.1, left=None)) == "labels 1/10 rows, 0.1/s"
    assert describe_activity(progress("curate", "labels", 5, rate=0.1, left=7500.0)).endswith("0.1/s, 2 h 5 min left")


def test_running_tasks_take_precedence_over_ended_ones(tmp_path: Path) -> None:
    folder = RunFolder("demo", tmp_path)
    running = state("synthesize", "running", process=os.getpid())
    teacher, student = "answers of the teacher", "answers of the student"
    write_events(folder, running, progress("synthesize", student, 0), progress("synthesize", teacher, 10))
    assert folder.states(["synthesize"])["synthesize"].activity["what"] == teacher
    with folder.events_file.open("a") as file:
        file.write(json.dumps(progress("synthesize", teacher, 10, ended=True)) + "\n")
    assert describe_activity(folder.states(["synthesize"])["synthesize"].activity) == f"{student} 0/10 rows"


def test_a_log_prints_only_what_is_new(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipelines.local.show_progress.PLAIN_SECONDS", -1.0)
    task, out = TaskState("synthesize", state="running"), tmp_path / "out"
    with out.open("w") as file, Lines(Console(file=file)) as lines:
        for done in (3, 3, 3, 4, 4):
            task.note(progress("synthesize", "answers of the teacher", done, rate=done / 7))
            lines.show([], {"synthesize": task})
    assert [line.split()[6] for line in out.read_text().splitlines()] == ["3/10", "4/10"]
