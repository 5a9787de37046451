"""A job on some of its nodes: those that are left where nodes that it lost are not replaced.

Nodes have numbers, from 0 in the order of ranks, as the settings list them. After a loss those that are left get ranks
without gaps, in the same order.
"""

import os
from collections.abc import Collection, Iterable
from itertools import accumulate

from components.launch.job import Job, Launch

NODES_VARIABLE = "TUTELAGE_NODES"
"""The numbers of the nodes that a program runs on, where these are not all: its job file has the settings of all."""


def all_nodes(launch: Launch) -> tuple[int, ...]:
    """The numbers of all nodes."""
    return tuple(range(sum(equal.nodes for equal in launch.equal_nodes)))


def on_nodes(launch: Launch, nodes: Collection[int]) -> Launch:
    """The launch of these nodes alone: fewer nodes, without groups that have none, and the speeds of their ranks."""
    kinds = _by_kind(launch, nodes)
    if launch.groups:
        groups = tuple(
            group.model_copy(update={"nodes": len(left), "least_nodes": None})
            for group, left in zip(launch.groups, kinds, strict=True)
            if left
        )
        return launch.model_copy(update={"groups": groups})
    changed = {"nodes": len(kinds[0]), "least_nodes": None, "speeds": _speeds_of(launch, kinds[0])}
    return launch.model_copy(update=changed)


def on_fewest_nodes(launch: Launch) -> Launch:
    """The launch of the fewest nodes on which the job continues."""
    kinds = zip(_by_kind(launch, all_nodes(launch)), launch.equal_nodes, strict=True)
    return on_nodes(launch, [number for numbers, equal in kinds for number in numbers[: equal.least]])


def job_on_nodes(job: Job, nodes: tuple[int, ...]) -> Job:
    """The job on these nodes, whose program learns which they are."""
    if nodes == all_nodes(job.launch):
        return job
    launch = on_nodes(job.launch, nodes)
    environment = {**launch.environment, NODES_VARIABLE: as_text(nodes)}
    return job.model_copy(update={"launch": launch.model_copy(update={"environment": environment})})


def launch_here(launch: Launch) -> Launch:
    """In a job's program: the launch of the nodes that it runs on."""
    nodes = parse_nodes(os.environ.get(NODES_VARIABLE, ""))
    return on_nodes(launch, nodes) if nodes else launch


def most_nodes(launch: Launch, there: Collection[int], ranks: Collection[int]) -> tuple[int, ...]:
    """The nodes with the most processes on which the job can continue; empty where it cannot.

    Args:
        launch: of all nodes, with the least of each kind.
        there: the numbers of the nodes that are there.
        ranks: numbers of processes on which the program can run; empty: any.
    """
    found: dict[int, tuple[int, ...]] = {0: ()}
    for numbers, equal in zip(_by_kind(launch, there), launch.equal_nodes, strict=True):
        found = {
            processes + count * equal.processes_per_node: nodes + numbers[:count]
            for count in range(equal.least, len(numbers) + 1)
            for processes, nodes in found.items()
        }
    able = [processes for processes in found if processes and (not ranks or processes in ranks)]
    return found[max(able)] if able else ()


def as_text(nodes: Iterable[int]) -> str:
    """Numbers of nodes for a variable or an annotation."""
    return ",".join(map(str, nodes))


def parse_nodes(text: str) -> tuple[int, ...]:
    """The numbers of nodes that `as_text` wrote; empty for an empty text."""
    return tuple(int(number) for number in text.split(",") if number)


def _by_kind(launch: Launch, nodes: Collection[int]) -> list[tuple[int, ...]]:
    """The numbers of nodes of each kind, in order; numbers that the launch does not have are left out."""
    ends = accumulate(equal.nodes for equal in launch.equal_nodes)
    kinds = [range(end - equal.nodes, end) for equal, end in zip(launch.equal_nodes, ends, strict=True)]
    return [tuple(number for number in kind if number in nodes) for kind in kinds]


def _speeds_of(launch: Launch, nodes: Iterable[int]) -> tuple[float, ...] | None:
    """The given speeds of the ranks on these nodes."""
    each = launch.processes_per_node
    if launch.speeds is None or len(launch.speeds) != launch.processes:
        return launch.speeds
    return tuple(speed for node in nodes for speed in launch.speeds[node * each : (node + 1) * each])
