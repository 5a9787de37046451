"""Tells when a lost pod has broken a job that its operator believes to be running."""

from components.launch.failure import PodFailure, first_failure
from components.launch.follow import Seen
from components.launch.kind import Object
from components.launch.moments import moment

OPERATORS_SECONDS = 10.0
"""How long its operator has to say that the job has failed, or its queue that the job waits again."""


class LostRanks:
    """The pods of a job of ranks that are lost for good.

    Ranks that are left wait for a lost one, up to half an hour. An operator that puts a new pod in the place of a lost
    one (training-operator 1.9.4 does) does not help them: it is no member of their group.
    """

    def __init__(self) -> None:
        self._since: dict[str, float] = {}

    def look(self, pods: Seen, failures: dict[str, PodFailure], now: float) -> PodFailure | None:
        """The failure that has broken the job; None while none has, or while its operator may still speak.

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
    """Whether a pod can do no more work; one whose node is silent still can."""
    ends = moment(pod["metadata"].get("deletionTimestamp"))
    return (ends is not None and ends < now) or (pod.get("status") or {}).get("phase") == "Failed"
