"""The distributed program of a heavy step, and the one call that runs it to its end."""

import math
from importlib import import_module
from typing import Annotated, Literal

from pydantic import Field

from components.launch.pods import Pods
from components.shared.settings import Settings, known

LAUNCHERS = {
    "local": "components.launch.local:run_locally",
    "RayJob": "components.launch.rayjob:run_as_rayjob",
    "TrainJob": "components.launch.trainjob:run_as_trainjob",
    "PyTorchJob": "components.launch.pytorchjob:run_as_pytorchjob",
}
"""Launchers by name: the module, and its function that takes a job and runs it to its end."""


LauncherName = Annotated[str, known(LAUNCHERS, "launcher"), Field(json_schema_extra={"enum": list(LAUNCHERS)})]


class Launch(Settings):
    """Where and on what a job runs. Nothing here changes what is computed, except the number of ranks in training."""

    launcher: LauncherName = Field("local", description="what runs the job")
    nodes: int = Field(1, ge=1, description="machines; for a RayJob its workers, beside the head")
    processes_per_node: int = Field(1, ge=1, description="processes on each machine (one for each GPU)")
    cpus_per_process: int = Field(1, ge=1, description="CPU cores for each process")
    environment: dict[str, str] = Field({}, description="extra environment variables; no secrets")
    timeout_seconds: float = Field(7 * 24 * 3600.0, gt=0, description="longest running time, in seconds")
    queue_seconds: float = Field(
        7 * 24 * 3600.0, gt=0, description="on a cluster: longest wait in a queue, apart from the running time"
    )
    start_seconds: float = Field(
        900.0,
        gt=0,
        description="on a cluster: how long a pod may stay unscheduled, or its image unpulled, before the job fails",
    )
    restarts: int = Field(
        3, ge=0, description="on a cluster: new starts after a pod was lost (out of memory, evicted, preempted, killed)"
    )
    ttl_seconds: int = Field(24 * 3600, ge=0, description="on a cluster: how long a job that has ended is kept")
    training_runtime: str = Field(
        "tutelage",
        min_length=1,
        description="for a TrainJob: the namespace's TrainingRuntime, which holds what a TrainJob cannot set",
    )
    pods: Pods = Field(Pods(), description="on a cluster: the job's pods")

    @property
    def on_cluster(self) -> bool:
        """Whether the job outlives this process, so that another start of the step finds it again."""
        return self.launcher != "local"

    @property
    def wait_seconds(self) -> float:
        """How long a step waits for another writer at its address.

        On a cluster a step's pod may be made anew while the old one still lives, or has just died: the new one waits
        as long as the old one lives, and until its lease has lapsed.
        """
        return math.inf if self.on_cluster else 0.0


SHIPPED_RUNTIME = str(Launch.model_fields["training_runtime"].default)
RUNTIME_FIELDS = ("priority_class", "image_pull_policy")
"""What a TrainJob takes from the TrainingRuntime that it refers to: its own schema has no place for it."""


class Job(Settings):
    """A module to run: under torchrun on every process, or once as a Ray driver."""

    name: str = Field(description="deterministic, from the address, so that a second start adopts the first")
    program: Literal["torchrun", "ray"]
    module: str = Field(description="module with a main(), run as python -m MODULE")
    arguments: tuple[str, ...] = ()
    preload: bool = Field(False, description="torchrun: the module's preload() may be called once for all processes")
    launch: Launch


def run_job(job: Job) -> None:
    """Run a job to its end, its log going to stderr.

    Raises:
        JobError: it ended badly; the last lines of its log are in the message.
    """
    module, _, function = LAUNCHERS[job.launch.launcher].partition(":")
    getattr(import_module(module), function)(job)
