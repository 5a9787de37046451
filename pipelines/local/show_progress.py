"""Shows the progress of a run: bars on a terminal, plain lines in a log."""

import time
from contextlib import AbstractContextManager
from typing import Any, Protocol

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table

from components.shared.progress_event import duration
from pipelines.local.run_folder import TaskState

PLAIN_SECONDS = 15.0
MARKS = {
    "waiting": "[dim]·[/]",
    "running": "[cyan]▶[/]",
    "done": "[green]✓[/]",
    "failed": "[red]✗[/]",
    "interrupted": "[yellow]![/]",
}


class Display(Protocol):
    """Shows events and states."""

    def show(self, events: list[dict[str, Any]], tasks: dict[str, TaskState]) -> None:
        """Show new events, and the states after them."""
        ...


def make_display(names: list[str]) -> AbstractContextManager[Display]:
    """Progress bars on a terminal, plain lines elsewhere."""
    console = Console(stderr=True)
    return Bars(console) if console.is_terminal else Lines(console)


class Lines:
    """Plain lines: each change of state, and every 15 s the progress, if any."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._said = 0.0
        self._last: dict[str, str] = {}

    def __enter__(self) -> "Lines":
        return self

    def __exit__(self, *reason: object) -> None:
        return None

    def show(self, events: list[dict[str, Any]], tasks: dict[str, TaskState]) -> None:
        for event in events:
            if event["kind"] == "state":
                self._print(event["state"], tasks[event["task"]])
        if time.monotonic() - self._said > PLAIN_SECONDS:
            for task in tasks.values():
                if task.state == "running" and task.activity and self._is_new(task):
                    self._said = time.monotonic()
                    self._say(f"{task.name}: {describe_activity(task.activity)}")

    def _is_new(self, task: TaskState) -> bool:
        """Whether a task has made progress since it was last reported."""
        doing = f"{task.activity['what']} {task.activity['done']}"
        new = self._last.get(task.name) != doing
        self._last[task.name] = doing
        return new

    def _print(self, state: str, task: TaskState) -> None:
        # Several events may arrive at once: each is shown as it was, not as the task is now.
        took = f" in {task.ended - task.began:.1f} s {task.address}" if state == "done" else ""
        why = f": {first_line(task.message)}" if state == "failed" and task.message else ""
        self._say(f"{task.name}: {state}{took}{why}")

    def _say(self, text: str) -> None:
        self._console.print(time.strftime("%H:%M:%S"), text, markup=False, highlight=False, soft_wrap=True)


class Bars:
    """A live table: a line for each task, and a bar for what is running."""

    def __init__(self, console: Console) -> None:
        self._live = Live(console=console, refresh_per_second=8, transient=False)

    def __enter__(self) -> "Bars":
        self._live.__enter__()
        return self

    def __exit__(self, *reason: Any) -> None:
        self._live.__exit__(*reason)

    def show(self, events: list[dict[str, Any]], tasks: dict[str, TaskState]) -> None:
        self._live.update(Group(states_table(tasks)))


def states_table(tasks: dict[str, TaskState]) -> Table:
    """A line for each task: mark, name, time, and the bar or the address."""
    table = Table.grid(padding=(0, 1))
    for task in tasks.values():
        table.add_row(
            MARKS[task.state],
            task.name,
            _time(task),
            _bar(task),
            first_line(task.message) or describe_activity(task.activity) or task.address,
        )
    return table


def first_line(message: str) -> str:
    """The problem of an error message, without rule and remedy."""
    return message.partition("\n")[0]


def _time(task: TaskState) -> str:
    if task.state == "waiting":
        return ""
    seconds = (time.time() if task.state == "running" else task.ended) - task.began
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


def _bar(task: TaskState) -> ProgressBar | str:
    total = task.activity.get("total")
    return ProgressBar(total=total, completed=task.activity["done"], width=24) if total else ""


def describe_activity(activity: dict[str, Any]) -> str:
    """An activity in words: what it does, how far it is, its rate, and the time left."""
    if not activity:
        return ""
    total, done, rate, left = (activity.get(name) for name in ("total", "done", "rate", "left"))
    of = f"/{total}" if total else ""
    per_second = f", {rate:.1f}/s" if rate else ""
    until = f", {duration(left)} left" if left is not None else ""
    return f"{activity['what']} {done}{of} {activity['unit']}{per_second}{until}"
