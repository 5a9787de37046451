"""The distributed program of a heavy step, its launch settings, and the call that runs it to its end."""

import math
from collections.abc import Sequence
from typing import Annotated, Self

from pydantic import Field, model_validator

from components.launch.accelerators import CPU
from components.launch.groups import EqualNodes, NodeGroup, require_fewer
from components.launch.pods import Pods
from components.launch.registry import (
    LAUNCHERS,
    ProgramKind,
    launchers_of,
    launchers_of_groups,
    launchers_on_fewer_nodes,
)
from components.launch.slots import JobSlots
from components.shared.errors import TEMPORARY_EXIT_CODE, JobError, SettingsError
from components.shared.settings import Settings, known

LauncherName = Annotated[str, known(LAUNCHERS, "launcher")]


class Launch(Settings):
    """Where a job runs, and on what. Only the number of ranks of a training changes what is computed."""

    launcher: LauncherName = Field("local", description="what runs the job")
    nodes: int = Field(1, ge=1, description="machines; for a RayJob its workers, in addition to the head")
    processes_per_node: int = Field(1, ge=1, description="processes on each machine (one for each GPU)")
    cpus_per_process: int = Field(1, ge=1, description="CPU cores for each process")
    speeds: tuple[Annotated[float, Field(gt=0)], ...] | None = Field(
        None,
        description="for a training whose shares follow speed: how fast each process is beside the others, such as "
        "[1, 0.5], in the order of ranks; left out: measured",
    )
    groups: tuple[NodeGroup, ...] = Field(
        (),
        description="for a training over nodes of several kinds, in place of nodes: the groups, in the order of ranks; "
        f"launcher: {', '.join(launchers_of_groups())}",
    )
    least_nodes: int | None = Field(
        None,
        ge=1,
        description="for a training: the fewest nodes on which it continues after it lost some that are not replaced "
        f"(groups have their own); left out: all of them; launcher: {', '.join(launchers_on_fewer_nodes())}",
    )
    replace_seconds: float = Field(
        300.0,
        gt=0,
        le=600,
        description="with least_nodes: how long after a loss pods may lack a node before the training continues on "
        "the nodes that are there; less than start_seconds",
    )
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
    slots: JobSlots | None = Field(
        None, description="how many jobs of a group may run at a time, this one among them; left out: no limit"
    )
    ttl_seconds: int = Field(24 * 3600, ge=0, description="on a cluster: how long a job that has ended is kept")
    training_runtime: str = Field(
        "tutelage",
        min_length=1,
        description="for a TrainJob: the TrainingRuntime of the namespace, for settings that a TrainJob lacks",
    )
    pods: Pods = Field(Pods(), description="on a cluster: the job's pods")

    @property
    def equal_nodes(self) -> tuple[EqualNodes, ...]:
        """The nodes by kind, in the order of ranks: those of each group, or all of them."""
        if not self.groups:
            least = self.nodes if self.least_nodes is None else self.least_nodes
            return (EqualNodes(self.nodes, self.processes_per_node, self.pods, least),)
        return tuple(group.equal_nodes(self.processes_per_node, self.pods) for group in self.groups)

    @property
    def processes(self) -> int:
        """Processes on all machines."""
        return sum(equal.nodes * equal.processes_per_node for equal in self.equal_nodes)

    @property
    def may_shrink(self) -> bool:
        """Whether the job may continue on fewer nodes after a loss."""
        return any(equal.least < equal.nodes for equal in self.equal_nodes)

    @model_validator(mode="after")
    def _groups_are_all_nodes(self) -> Self:
        if not self.groups:
            return self
        if not LAUNCHERS[self.launcher].groups:
            raise ValueError(
                f"groups are nodes of several kinds for a training, and a {self.launcher!r} job has equal nodes; "
                f"allowed: launcher {', '.join(launchers_of_groups())}"
            )
        defaults = type(self).model_fields
        if beside := [
            name for name in ("nodes", "speeds", "least_nodes") if getattr(self, name) != defaults[name].default
        ]:
            raise ValueError(
                f"{' and '.join(beside)} beside groups: each group has its own nodes, least_nodes and speed; leave out "
                "either"
            )
        if self.pods.gpus:
            raise ValueError(
                f"pods.gpus {self.pods.gpus} beside groups: each pod of a group has a GPU for each process, and none "
                f"with accelerator {CPU}; leave it out"
            )
        return self

    @model_validator(mode="after")
    def _restarts_on_fewer_nodes(self) -> Self:
        require_fewer(self.least_nodes, self.nodes)
        given = [self.least_nodes, *(group.least_nodes for group in self.groups)]
        if any(least is not None for least in given) and not LAUNCHERS[self.launcher].fewer_nodes:
            raise ValueError(
                f"least_nodes is for a job that its launcher starts again after a loss, and a {self.launcher!r} job is "
                f"not: allowed: launcher {', '.join(launchers_on_fewer_nodes())}"
            )
        if not self.may_shrink:
            return self
        if not any(equal.least for equal in self.equal_nodes):
            raise ValueError("least_nodes of all groups is 0: at least one group needs 1 or more")
        if not self.restarts:
            raise ValueError("least_nodes has no effect with restarts 0: a lost pod ends the job; set restarts to 1")
        if self.replace_seconds >= self.start_seconds:
            raise ValueError(
                f"replace_seconds {self.replace_seconds:g} is not less than start_seconds {self.start_seconds:g}: the "
                "job would fail before it continues on fewer nodes"
            )
        return self

    @property
    def on_cluster(self) -> bool:
        """Whether the job outlives this process, so that another start of the step finds it."""
        return LAUNCHERS[self.launcher].on_cluster

    @property
    def wait_seconds(self) -> float:
        """How long a step waits for another writer at its address.

        On a cluster a step's pod may be replaced while the old one is still running, or has just died: the new one
        waits until the old one has ended and its lease has expired.
        """
        return math.inf if self.on_cluster else 0.0


SHIPPED_RUNTIME = str(Launch.model_fields["training_runtime"].default)
RUNTIME_FIELDS = ("priority_class", "image_pull_policy")
"""Fields of `pods` that a TrainJob takes from its TrainingRuntime: its own schema lacks them."""


TAIL_LINES = 20
"""How many of the last lines of a failed job's log are part of its error."""


class Job(Settings):
    """A module to run: under torchrun on every process, or once as a Ray driver."""

    name: str = Field(description="deterministic, from the address, so that a second start adopts the job of the first")
    program: ProgramKind
    module: str = Field(description="module with a main(), run as python -m MODULE")
    arguments: tuple[str, ...] = ()
    preload: bool = Field(False, description="torchrun: call the module's preload() once, then fork the processes")
    launch: Launch
    ranks: tuple[int, ...] = Field(
        (), description="numbers of processes on which the program can continue after a loss; empty: any"
    )


def with_last_lines(problem: str, tail: Sequence[str]) -> str:
    """The problem of a failed job, and the last lines of its log below it."""
    shown = "\n".join(f"    {line}" for line in tail[-TAIL_LINES:])
    return f"{problem}; its last lines:\n{shown}" if shown else f"{problem}; its log is empty or gone"


class ProgramFailedError(JobError):
    """A job's program ended with an exit code of its own: nothing outside ended it, so its own record explains why.

    Args:
        problem: what happened, with the last lines of the log.
        program_exit_code: as the process or its container reports it; None where the launcher cannot tell.
        remedy: what to do.
    """

    def __init__(self, problem: str, program_exit_code: int | None, *, remedy: str) -> None:
        super().__init__(problem, remedy=remedy, temporary=program_exit_code == TEMPORARY_EXIT_CODE)
        self.program_exit_code = program_exit_code
        if program_exit_code == SettingsError.exit_code:
            self.exit_code = SettingsError.exit_code


def run_job(job: Job) -> None:
    """Run a job to its end; its log goes to stderr.

    Raises:
        SettingsError: the launcher does not run programs of this kind.
        ProgramFailedError: its program failed; the last lines of its log are in the message.
        JobError: it ended for another reason: pods were lost, a limit was exceeded, the cluster refused it.
    """
    launcher = LAUNCHERS[job.launch.launcher]
    if job.program not in launcher.programs:
        raise SettingsError(
            f"launcher {job.launch.launcher!r} does not run {job.program} programs, and {job.name} is one",
            allowed=launchers_of(job.program),
            remedy="set launch.launcher to one of them",
        )
    launcher.load_run()(job)
