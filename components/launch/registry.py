"""The launchers: what runs jobs. Everything that depends on the kind of launcher follows from this table."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Literal

from components.launch.api.resources import (
    EVENTS,
    JOBSET,
    LOGS,
    PODS,
    PYTORCHJOB,
    RAYJOB,
    TRAINING_RUNTIME,
    TRAINJOB,
    Resource,
)

ProgramKind = Literal["torchrun", "ray"]


@dataclass(frozen=True)
class Launcher:
    """One launcher. Functions and classes are named as MODULE:NAME, so that the table imports no launcher.

    Args:
        programs: the programs that it runs.
        run: a function that runs a Job to its end and raises JobError.
        resource: the custom resource that it creates; None when it runs jobs on this machine.
        kind: on a cluster: a class that implements `components.launch.kinds.kind.Kind`.
        fallback: the launcher that takes its place on a cluster that does not serve its resource.
        runtime: the kind of object that its resource refers to for what it cannot set itself (RUNTIME_FIELDS).
        groups: whether a job of it may have groups of unequal nodes.
        fewer_nodes: whether a job of it that has lost nodes can start again on those that are left.
        name_prefix: of its resources' names, where another operator makes objects of the same kind under job names.
    """

    programs: tuple[ProgramKind, ...]
    run: str = "components.launch.follow.run_on_cluster:run_on_cluster"
    resource: Resource | None = None
    kind: str = ""
    fallback: str = ""
    runtime: Resource | None = None
    groups: bool = False
    fewer_nodes: bool = False
    name_prefix: str = ""

    @property
    def on_cluster(self) -> bool:
        """Whether its jobs outlive the process that starts them, so that another start of the step finds them."""
        return self.resource is not None

    def load_run(self) -> Callable[[Any], None]:
        """The function that `run` names."""
        function: Callable[[Any], None] = _load(self.run)
        return function


LAUNCHERS: dict[str, Launcher] = {
    "local": Launcher(("ray", "torchrun"), run="components.launch.here.local:run_locally"),
    "RayJob": Launcher(("ray",), resource=RAYJOB, kind="components.launch.kinds.rayjob:RayJobKind"),
    "TrainJob": Launcher(
        ("torchrun",),
        resource=TRAINJOB,
        kind="components.launch.kinds.trainjob:TrainJobKind",
        fallback="PyTorchJob",
        runtime=TRAINING_RUNTIME,
        fewer_nodes=True,
    ),
    "PyTorchJob": Launcher(
        ("torchrun",),
        resource=PYTORCHJOB,
        kind="components.launch.kinds.pytorchjob:PyTorchJobKind",
        fewer_nodes=True,
    ),
    # A TrainJob makes a JobSet under its own name.
    "JobSet": Launcher(
        ("torchrun",),
        resource=JOBSET,
        kind="components.launch.kinds.jobset:JobSetKind",
        groups=True,
        fewer_nodes=True,
        name_prefix="jobset-",
    ),
}


def launchers_of(program: ProgramKind) -> tuple[str, ...]:
    """The names of the launchers that run a program."""
    return tuple(name for name, launcher in LAUNCHERS.items() if program in launcher.programs)


def launchers_of_groups() -> tuple[str, ...]:
    """The names of the launchers whose jobs may have groups of unequal nodes."""
    return tuple(name for name, launcher in LAUNCHERS.items() if launcher.groups)


def launchers_on_fewer_nodes() -> tuple[str, ...]:
    """The names of the launchers whose jobs can start again on fewer nodes."""
    return tuple(name for name, launcher in LAUNCHERS.items() if launcher.fewer_nodes)


def custom_resources() -> dict[str, Resource]:
    """The custom resources, by the names of their launchers."""
    return {name: launcher.resource for name, launcher in LAUNCHERS.items() if launcher.resource is not None}


def resources_used() -> tuple[Resource, ...]:
    """All that a step accesses in the namespace of its jobs; `k8s/base/role.yaml` grants the verbs of each."""
    return (*custom_resources().values(), PODS, LOGS, EVENTS)


def make_kind(name: str) -> Any:
    """The Kind of a launcher on a cluster, in the default shape of its resource."""
    return _load(LAUNCHERS[name].kind)()


def _load(reference: str) -> Any:
    module, _, name = reference.partition(":")
    return getattr(import_module(module), name)
