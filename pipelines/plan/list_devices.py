"""The devices that a training's launch names: groups of nodes, or equal nodes."""

from collections import Counter
from dataclasses import dataclass
from itertools import groupby

from components.launch.accelerators import ACCELERATORS, CPU, PRODUCT_LABEL, accelerator_of
from components.launch.groups import DevicePrice, NodeGroup, parse_bytes
from components.launch.job import Launch
from components.shared.errors import SettingsError
from components.train.balance.devices import DeviceKind, Link
from components.train.plan_split import TrainingDevices

LATENCY_SECONDS = 10e-6
"""Of a message: an assumption."""
UNKNOWN_LINK = 12.5e9
"""Bytes a second of devices without published numbers, in a machine and between machines: 100 Gbit/s, an assumption."""


@dataclass(frozen=True)
class NamedDevices:
    """Devices of one kind, and what one of them costs."""

    devices: TrainingDevices
    price: DevicePrice | None = None


def list_devices(launch: Launch, task: str, accelerator: str = "") -> list[NamedDevices]:
    """The devices of a job, in the order of its ranks.

    Args:
        launch: of the job, with its pods.
        task: its name, for messages.
        accelerator: what its devices are, where its launch does not say it.

    Raises:
        SettingsError: the launch does not say what its devices are.
    """
    if launch.groups:
        names = _unique([group.accelerator for group in launch.groups])
        return [_of_group(name, group, launch) for name, group in zip(names, launch.groups, strict=True)]
    name = accelerator or accelerator_of(launch.pods.node_selector)
    if not name and launch.on_cluster and not launch.pods.gpus:
        return [_of_cpus(launch)]
    if name not in ACCELERATORS:
        raise _unknown(launch, task, name)
    return [NamedDevices(devices) for devices in _of_equal_nodes(name, launch)]


def _of_group(name: str, group: NodeGroup, launch: Launch) -> NamedDevices:
    each = group.processes_per_node or launch.processes_per_node
    kind = _kind(name, group.accelerator, group.nodes * each, each, group.memory_bytes)
    known = ACCELERATORS.get(group.accelerator)
    operations = known.operations if known else None
    devices = TrainingDevices(kind, operations, group.speed, on_cpu=group.accelerator == CPU)
    return NamedDevices(devices, group.price)


def _of_equal_nodes(name: str, launch: Launch) -> list[TrainingDevices]:
    """Devices of one kind; those that `speeds` sets apart are kinds of their own."""
    speeds = launch.speeds or (1.0,) * launch.processes
    runs = [(speed, len(list(ranks))) for speed, ranks in groupby(speeds)]
    names = _unique([name if len(runs) == 1 else f"{name} at {speed / max(speeds):.2g}" for speed, _ in runs])
    known = ACCELERATORS[name]
    return [
        TrainingDevices(
            _kind(label, name, ranks, launch.processes_per_node, known.memory),
            known.operations,
            relative=speed / max(speeds),
        )
        for label, (speed, ranks) in zip(names, runs, strict=True)
    ]


def _of_cpus(launch: Launch) -> NamedDevices:
    memory = parse_bytes(launch.pods.memory) // launch.processes_per_node
    kind = _kind(CPU, CPU, launch.processes, launch.processes_per_node, memory)
    return NamedDevices(TrainingDevices(kind, on_cpu=True))


def _kind(name: str, accelerator: str, count: int, per_node: int, memory: int) -> DeviceKind:
    known = ACCELERATORS.get(accelerator)
    link, network = (known.link, known.network) if known else (UNKNOWN_LINK, UNKNOWN_LINK)
    return DeviceKind(
        name=name,
        count=count,
        memory_bytes=memory,
        per_node=per_node,
        link=Link(bytes_a_second=link, latency_seconds=LATENCY_SECONDS),
        network=Link(bytes_a_second=network, latency_seconds=LATENCY_SECONDS),
    )


def _unique(names: list[str]) -> list[str]:
    """The names, with a number where one is there more than once."""
    often, seen = Counter(names), Counter[str]()
    found = []
    for name in names:
        seen[name] += 1
        found.append(f"{name} ({seen[name]})" if often[name] > 1 else name)
    return found


def _unknown(launch: Launch, task: str, name: str) -> SettingsError:
    problem = (
        f"accelerator {name!r} has no published numbers here" if name else "its placement does not say what they are"
    )
    where = f"launcher {launch.launcher!r}, {launch.processes} ranks"
    return SettingsError(
        f"{task}: the devices of its job ({where}) are not known: {problem}",
        rule="a plan needs the speed and memory of the devices",
        allowed=tuple(ACCELERATORS),
        remedy=f"groups with an accelerator in the placement's job, or {PRODUCT_LABEL} in its node_selector, or "
        "--accelerator NAME",
    )
