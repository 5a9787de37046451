"""What this machine keeps about a run that was submitted to Kubeflow: paths of secrets, but no secret."""

import time
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from components.shared.errors import DamagedError
from pipelines.local.run_folder import RunFolder


class Access(BaseModel):
    """How Kubeflow Pipelines is reached. Tokens and cookies are in files, which are read when they are needed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    host: str = Field(description="URL of the API, with its path: https://kubeflow.example.org/pipeline")
    namespace: str = Field("", description="profile namespace; empty where Kubeflow has one user")
    token_file: str = Field("", description="file with a bearer token; read again for every request")
    cookies_file: str = Field("", description="file with the cookie of a login, NAME=VALUE; read once for a command")
    ca_bundle: str = Field("", description="PEM file of the certificate authorities to trust, instead of the default")


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
        """The URL of its page in Kubeflow."""
        return f"{self.access.host}/#/runs/details/{self.run}"


def keep(submission: Submission, folder: RunFolder) -> None:
    """Write a submitted run to its folder."""
    folder.path.mkdir(parents=True, exist_ok=True)
    _file(folder).write_text(submission.model_dump_json(indent=1))


def recall(folder: RunFolder) -> Submission | None:
    """The submitted run of a folder; None when the latest run was on this machine. Raises DamagedError."""
    path = _file(folder)
    if not path.exists():
        return None
    if folder.events_file.exists() and folder.events_file.stat().st_mtime > path.stat().st_mtime:
        return None
    try:
        return Submission.model_validate_json(path.read_text())
    except ValidationError as error:
        raise DamagedError(
            f"{path} is damaged: {error.errors()[0]['msg']}",
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
    # A group of tasks (the body of the exit handler) is not a task.
    steps = {
        key: task for key, task in tasks.items() if "dag" not in pipeline["components"][task["componentRef"]["name"]]
    }
    return {key: task["taskInfo"]["name"] for key, task in steps.items()}


def jobs_namespace_of(pipeline: dict[str, Any]) -> str:
    """The namespace of a compiled pipeline's jobs, as its exit handler names it; empty where it names none."""
    for task in pipeline["root"]["dag"]["tasks"].values():
        given = task.get("inputs", {}).get("parameters", {}).get("namespace")
        constant = (given or {}).get("runtimeValue", {}).get("constant")
        if constant:
            return str(constant)
    return ""


def _in_order(tasks: dict[str, Any]) -> list[tuple[str, Any]]:
    order = TopologicalSorter({key: task.get("dependentTasks", []) for key, task in tasks.items()}).static_order()
    return [(key, tasks[key]) for key in order]


def _file(folder: RunFolder) -> Path:
    return folder.path / "submitted.json"
