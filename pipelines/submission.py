"""What this machine remembers of a run that was submitted to Kubeflow: no secret, only where secrets lie."""

import time
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from components.shared.errors import DamagedError
from pipelines.run_folder import RunFolder


class Access(BaseModel):
    """How Kubeflow Pipelines is reached. Tokens and cookies are named by their files, which are read when needed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    host: str = Field(description="URL of the API, with its path: https://kubeflow.example.org/pipeline")
    namespace: str = Field("", description="profile namespace; empty where Kubeflow has one user")
    token_file: str = Field("", description="file with a bearer token; read again for every request")
    cookies_file: str = Field("", description="file with the cookie of a login, NAME=VALUE; read once for a command")
    ca_bundle: str = Field("", description="certificates in PEM that TLS trusts instead of the usual")


class Submission(BaseModel):
    """A submitted run."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    run: str = Field(description="the run's id in Kubeflow")
    name: str = Field(description="its name on this machine")
    title: str = ""
    access: Access
    experiment: str = ""
    store: str = Field(description="root of its outputs")
    tasks: dict[str, str] = Field({}, description="names of its tasks by their keys in the compiled pipeline")
    jobs_namespace: str = Field("", description="namespace that its jobs run in, where the recipe names one")
    submitted: float = Field(default_factory=time.time, description="seconds since 1970")

    @property
    def link(self) -> str:
        """Its page in Kubeflow."""
        return f"{self.access.host}/#/runs/details/{self.run}"


def keep(submission: Submission, folder: RunFolder) -> None:
    """Remember a submitted run in its folder."""
    folder.path.mkdir(parents=True, exist_ok=True)
    _file(folder).write_text(submission.model_dump_json(indent=1))


def recall(folder: RunFolder) -> Submission | None:
    """The submitted run of a folder; None when its latest run was on this machine. Raises DamagedError."""
    path = _file(folder)
    if not path.exists():
        return None
    if folder.events_file.exists() and folder.events_file.stat().st_mtime > path.stat().st_mtime:
        return None
    try:
        return Submission.model_validate_json(path.read_text())
    except ValidationError as error:
        raise DamagedError(
            f"{path} is not what was written: {error.errors()[0]['msg']}",
            remedy="name the run by its id: --run RUN_ID",
        ) from error


def latest_of(work: Path) -> str:
    """Name of the run that was started or submitted last; empty when there is none."""
    seen: list[tuple[float, str]] = []
    for name in ("events.jsonl", _file(RunFolder("", work)).name):
        seen += [(path.stat().st_mtime, path.parent.name) for path in (work / "runs").glob(f"*/{name}")]
    return max(seen)[1] if seen else ""


def task_keys(pipeline: dict[str, Any]) -> dict[str, str]:
    """Names of tasks by their keys, of a compiled pipeline, in the order in which they run."""
    groups = [*(part for part in pipeline["components"].values() if "dag" in part), pipeline["root"]]
    tasks = {key: task for group in groups for key, task in _in_order(group["dag"]["tasks"])}
    # A group of tasks (the one that is cleaned up after) is no task itself.
    steps = {
        key: task for key, task in tasks.items() if "dag" not in pipeline["components"][task["componentRef"]["name"]]
    }
    return {key: task["taskInfo"]["name"] for key, task in steps.items()}


def jobs_namespace_of(pipeline: dict[str, Any]) -> str:
    """The namespace that a compiled pipeline's jobs run in, where it names one: its last task deletes them there."""
    for task in pipeline["root"]["dag"]["tasks"].values():
        given = task.get("inputs", {}).get("parameters", {}).get("namespace")
        if given and task["taskInfo"]["name"] == "clean-up":
            return str(given.get("runtimeValue", {}).get("constant", ""))
    return ""


def _in_order(tasks: dict[str, Any]) -> list[tuple[str, Any]]:
    order = TopologicalSorter({key: task.get("dependentTasks", []) for key, task in tasks.items()}).static_order()
    return [(key, tasks[key]) for key in order]


def _file(folder: RunFolder) -> Path:
    return folder.path / "submitted.json"
