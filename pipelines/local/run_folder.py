"""The folder of each run on this machine: the recipe, the events, the log and the report."""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from components.shared.errors import NotFoundError, TutelageError
from pipelines.pipeline import Recipe
from pipelines.registry import recipe_from

WORK_FOLDER = Path(".tutelage")


@dataclass
class TaskState:
    """State and progress of a task.

    Attributes:
        state: waiting, running, done, failed or interrupted.
        began: when it started, in seconds since 1970.
        ended: when it ended, in seconds since 1970.
        seconds: how long it worked, without waiting.
        activities: the latest progress event of each activity, by its description.
    """

    name: str
    state: str = "waiting"
    began: float = 0.0
    ended: float = 0.0
    process: int = 0
    address: str = ""
    seconds: float = 0.0
    message: str = ""
    activities: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def activity(self) -> dict[str, Any]:
        """The latest progress event, of whichever activity."""
        return next(reversed(self.activities.values()), {})

    def note(self, event: dict[str, Any]) -> None:
        """Record a progress event."""
        self.activities.pop(event["what"], None)
        if not event.get("ended"):
            self.activities[event["what"]] = event

    def apply(self, event: dict[str, Any]) -> None:
        """Record a change of state."""
        self.state = event["state"]
        if self.state == "running":
            self.began, self.process, self.message = event["time"], event["process"], ""
        else:
            self.ended = event["time"]
            self.activities = {}
        self.address = event.get("address", self.address)
        self.seconds = event.get("seconds", self.seconds)
        self.message = event.get("message", "")

    def settled(self) -> "TaskState":
        """The task itself; one that was running becomes interrupted if its process no longer exists."""
        if self.state == "running" and not Path(f"/proc/{self.process}").exists():
            self.state = "interrupted"
        return self


class RunFolder:
    """The folder of one run on this machine, or of the previews of one recipe (`kind`)."""

    def __init__(self, name: str, work: Path = WORK_FOLDER, kind: Literal["runs", "previews"] = "runs") -> None:
        self.name = name
        self.path = (work / kind / name).absolute()

    @property
    def recipe_file(self) -> Path:
        """The recipe of the latest run, as JSON."""
        return self.path / "recipe.json"

    @property
    def events_file(self) -> Path:
        """Events of the steps, one JSON object per line."""
        return self.path / "events.jsonl"

    @property
    def log_file(self) -> Path:
        """The output of all steps."""
        return self.path / "log.txt"

    def recipe(self) -> Recipe:
        """The recipe of the run. Raises NotFoundError when no such run exists on this machine."""
        try:
            return recipe_from(json.loads(self.recipe_file.read_text()))
        except FileNotFoundError as error:
            names = sorted(path.name for path in self.path.parent.glob("*")) if self.path.parent.exists() else []
            raise NotFoundError(
                f"no run {self.name!r} in {self.path.parent}", allowed=names, remedy="tutelage run RECIPE starts one"
            ) from error

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Lock the run during the block. Raises TutelageError when another process on this machine runs it."""
        self.path.mkdir(parents=True, exist_ok=True)
        with (self.path / "lock").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise TutelageError(
                    f"run {self.name!r} is already running in {self.path}",
                    rule="one process runs a recipe at a time",
                    remedy=f"wait, or end that process; tutelage status {self.name} shows its progress",
                ) from error
            os.set_inheritable(file.fileno(), False)
            yield

    def start(self, recipe: Recipe) -> None:
        """Write the recipe, and start an empty log and event file."""
        self.recipe_file.write_text(recipe.model_dump_json(indent=1, exclude_unset=True))
        self.events_file.write_text("")
        self.log_file.write_text("")

    def states(self, names: list[str]) -> dict[str, TaskState]:
        """The state of each task, from the events."""
        tracker = Tracker(self.events_file, names)
        tracker.poll()
        return {name: task.settled() for name, task in tracker.tasks.items()}


class Tracker:
    """Follows an event file and tracks the state of every task."""

    def __init__(self, path: Path, names: list[str]) -> None:
        self.tasks = {name: TaskState(name) for name in names}
        self._path, self._position, self._rest = path, 0, ""

    def poll(self) -> list[dict[str, Any]]:
        """Process the new events, and return them."""
        if not self._path.exists():
            return []
        with self._path.open(encoding="utf-8") as file:
            file.seek(self._position)
            text = self._rest + file.read()
            self._position = file.tell()
        *lines, self._rest = text.split("\n")
        events = [json.loads(line) for line in lines if line]
        for event in events:
            self._apply(event)
        return events

    def _apply(self, event: dict[str, Any]) -> None:
        if event["kind"] == "state":
            self.tasks.setdefault(event["task"], TaskState(event["task"])).apply(event)
        elif event["kind"] == "progress":
            running = [task for task in self.tasks.values() if task.state == "running"]
            for task in running:
                if task.name == event["step"] or task.name.split("-")[0] == event["step"]:
                    task.note(event)
