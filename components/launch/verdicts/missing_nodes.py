"""Detects that nodes which a job has lost are not replaced, and chooses those on which it continues."""

from collections.abc import Iterable
from dataclasses import dataclass

from components.launch.api.resources import Object
from components.launch.api.watch import ObservedObjects
from components.launch.fewer_nodes import most_nodes
from components.launch.job import Job
from components.launch.kinds.kind import Kind
from components.launch.verdicts.failure import conditions_of
from components.launch.verdicts.start_trouble import Trouble, trouble_of


@dataclass(frozen=True)
class FewerNodes:
    """The nodes on which a job continues, by their numbers; empty where too few are there. `words` say why."""

    nodes: tuple[int, ...]
    words: str


class MissingNodes:
    """The nodes of one attempt whose pods have no place, over time.

    Only an attempt that follows a loss is judged: a job begins with all of its nodes, or waits for them.

    Args:
        job: with the settings of all nodes.
        kind: tells which node a pod is.
        number: of the attempt.
        nodes: the numbers of the nodes that the attempt runs on; empty where the job does not continue on fewer.
    """

    def __init__(self, job: Job, kind: Kind, number: int, nodes: tuple[int, ...]) -> None:
        self._job, self._kind = job, kind
        self._nodes = nodes if number and job.launch.may_shrink else ()
        self._since: float | None = None

    def check(self, pods: ObservedObjects, now: float, *, queued: bool) -> FewerNodes | None:
        """What follows from missing nodes; None while none is missing, or while they may still be replaced.

        Args:
            pods: of the attempt, of which none has failed.
            now: seconds since the epoch.
            queued: whether a queue has yet to admit the job, which has no pods until then.
        """
        there = self._there(pods.all)
        if queued or len(there) == len(self._nodes):
            self._since = None
            return None
        waiting = [pod for pod in pods.present if not _has_place(pod)]
        troubles = [trouble for pod in waiting if (trouble := trouble_of(pod))]
        # A step that adopts the job continues to count.
        self._since = min(self._since or now, *(one.since for one in troubles), now)
        if now - self._since < self._job.launch.replace_seconds:
            return None
        return FewerNodes(most_nodes(self._job.launch, there, self._job.ranks), self._words(there, troubles))

    def _there(self, pods: Iterable[Object]) -> set[int]:
        """The numbers of the nodes whose pods have a place."""
        places = {self._kind.node_of(pod) for pod in pods if _has_place(pod)}
        return {number for place, number in enumerate(self._nodes) if place in places}

    def _words(self, there: set[int], troubles: list[Trouble]) -> str:
        why = f" ({troubles[0].words})" if troubles else ""
        patience = f"{self._job.launch.replace_seconds:.0f} s"
        return f"{len(there)} of {len(self._nodes)} nodes are there after {patience}{why}"


def _has_place(pod: Object) -> bool:
    return conditions_of(pod).get("PodScheduled", {}).get("status") == "True"
