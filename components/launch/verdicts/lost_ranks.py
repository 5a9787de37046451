"""Detects that a lost pod has broken a job that its operator still reports as running."""

from components.launch.api.clock import seconds_of
from components.launch.api.resources import Object
from components.launch.api.watch import ObservedObjects
from components.launch.verdicts.failure import PodFailure, first_failure

OPERATORS_SECONDS = 10.0
"""How long the operator may take to report the failure, or the queue to suspend the job."""


class LostRanks:
    """The pods of a job of ranks that are permanently lost.

    The remaining ranks wait for a lost one, for up to half an hour. A pod that the operator creates in its place
    (training-operator 1.9.4 does) does not help them: it is not a member of their process group.
    """

    def __init__(self) -> None:
        self._since: dict[str, float] = {}

    def check(self, pods: ObservedObjects, failures: dict[str, PodFailure], now: float) -> PodFailure | None:
        """The failure that has broken the job; None when there is none, or while the operator may still report it.

        Args:
            pods: the job's pods.
            failures: by the pods' uids.
            now: seconds since the epoch.
        """
        over = {pod["metadata"]["uid"] for pod in [*pods.gone, *(pod for pod in pods.present if _is_over(pod, now))]}
        lost = [uid for uid, failure in failures.items() if failure.lost and uid in over]
        self._since = {uid: self._since.get(uid, now) for uid in lost}
        if all(now - since < OPERATORS_SECONDS for since in self._since.values()):
            return None
        return first_failure(failures[uid] for uid in lost)


def _is_over(pod: Object, now: float) -> bool:
    """Whether a pod can do no more work; one whose node does not report still can."""
    ends = seconds_of(pod["metadata"].get("deletionTimestamp"))
    return (ends is not None and ends < now) or (pod.get("status") or {}).get("phase") == "Failed"
