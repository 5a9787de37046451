"""Classifies the failures of pods, by their status alone.

A lost pod (out of memory, evicted, preempted, killed, deleted, its node gone) is a reason to start the job again; a
program that ended with an exit code of its own is not.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from components.launch.api.clock import seconds_of
from components.launch.api.resources import Object
from components.shared.errors import SettingsError

CAUSE_SECONDS = 1800.0
"""A pod that was lost longer before the last failure is not its cause: it was replaced, or the others went on without
it. Processes wait for a lost one for half an hour at most (gloo's timeout; NCCL's is 10 minutes)."""

SIGKILLED = 137
DISRUPTIONS = {
    "PreemptionByScheduler": "Preempted",
    "EvictionByEvictionAPI": "Evicted",
    "TerminationByKubelet": "Evicted",
    "DeletionByTaintManager": "NodeLost",
    "DeletionByPodGC": "NodeLost",
}
LOST_REASONS = {
    "Evicted": "Evicted",
    "Preempting": "Preempted",
    "Preempted": "Preempted",
    "NodeLost": "NodeLost",
    "NodeShutdown": "NodeLost",
    "Shutdown": "NodeLost",
    "Terminated": "NodeLost",
    "NodeAffinity": "NodeLost",
    "UnexpectedAdmissionError": "NodeLost",
}
"""Reasons that the kubelet gives a failed pod for what is not the pod's own fault."""

REMEDIES = {
    "OOMKilled": "raise launch.pods.memory, or lower what needs memory (micro_batch, max_length, concurrent requests)",
    "Evicted": "see the message: a node short of memory or disk, or a pod above launch.pods.scratch",
    "Preempted": "set a higher launch.pods.priority_class, or run the job when the cluster has capacity",
    "NodeLost": "check the node; run again to continue from what is done",
    "Killed": "SIGKILL from outside usually means that the node ran out of memory: raise launch.pods.memory",
    "Deleted": "run again to continue from what is done",
    "DeadlineExceeded": "raise launch.timeout_seconds; running again continues from what is done",
}
OTHER_REMEDY = "see the log above; run again to continue from what is done"
SETTINGS_REMEDY = "correct the recipe, as the log says"


@dataclass(frozen=True)
class PodFailure:
    """How a pod failed: the reason, the kubelet's message, when (s since the epoch), and whether the pod was lost."""

    pod: str
    reason: str
    message: str
    at: float
    lost: bool
    container: str = ""
    exit_code: int | None = None

    @property
    def words(self) -> str:
        """For people: `pod NAME: OOMKilled (exit code 137): MESSAGE`."""
        code = f"exit code {self.exit_code}" if self.exit_code is not None else ""
        named = f"{self.reason} ({code})" if self.reason and code else self.reason or code
        return f"pod {self.pod}: {named}" + (f": {self.message}" if self.message else "")

    @property
    def remedy(self) -> str:
        """What to do."""
        if self.exit_code == SettingsError.exit_code:
            return SETTINGS_REMEDY
        return REMEDIES.get(self.reason, OTHER_REMEDY)


def failure_of(pod: Object) -> PodFailure | None:
    """How a pod failed; None while it runs, waits, or when it ended well. One that is being deleted is deleted."""
    return _out_of_memory(pod) or _own_end_before_deletion(pod) or _disrupted(pod) or _kubelet_reason(pod) or _gone(pod)


def first_failure(failures: Iterable[PodFailure]) -> PodFailure | None:
    """The failure that caused the others: the earliest, and of equals the first given."""
    known = list(failures)
    if not known:
        return None
    latest = max(failure.at for failure in known)
    return min((one for one in known if one.at >= latest - CAUSE_SECONDS), key=lambda failure: failure.at)


def main_container(pod: Object) -> str:
    """The container whose log is the program's."""
    named = (pod["metadata"].get("annotations") or {}).get("kubectl.kubernetes.io/default-container")
    return str(named or pod["spec"]["containers"][0]["name"])


def conditions_of(thing: Object) -> dict[str, Object]:
    """The conditions of a status by their types."""
    return {one["type"]: one for one in (thing.get("status") or {}).get("conditions") or []}


def container_statuses(pod: Object) -> list[Object]:
    """The statuses of all containers, init containers first."""
    status = pod.get("status") or {}
    return [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]


def deletion_asked(pod: Object) -> float | None:
    """When the deletion of a pod was requested; None if never. Its deletionTimestamp is the end of the grace period."""
    meta = pod["metadata"]
    ends = seconds_of(meta.get("deletionTimestamp"))
    return None if ends is None else ends - (meta.get("deletionGracePeriodSeconds") or 0)


def _out_of_memory(pod: Object) -> PodFailure | None:
    killed = [(one, end) for one, end in _bad_ends(pod) if end.get("reason") == "OOMKilled"]
    return _ended(pod, *killed[0], reason="OOMKilled", lost=True) if killed else None


def _own_end_before_deletion(pod: Object) -> PodFailure | None:
    """The failure of a container itself, unless its pod was being deleted or disrupted before."""
    bad = _bad_ends(pod)
    if not bad or _is_disrupted(pod) or (pod.get("status") or {}).get("reason"):
        return None
    container, end = min(bad, key=lambda one: seconds_of(one[1].get("finishedAt")) or 0.0)
    asked = deletion_asked(pod)
    if asked is not None and asked <= (seconds_of(end.get("finishedAt")) or 0.0):
        return None
    if end["exitCode"] == SIGKILLED:
        return _ended(pod, container, end, reason="Killed", lost=True)
    reason = end.get("reason", "")
    return _ended(pod, container, end, reason="" if reason == "Error" else reason, lost=False)


def _disrupted(pod: Object) -> PodFailure | None:
    if not _is_disrupted(pod):
        return None
    why = conditions_of(pod)["DisruptionTarget"]
    reason = str(why.get("reason", ""))
    return _lost(
        pod, DISRUPTIONS.get(reason, reason), why.get("message", ""), seconds_of(why.get("lastTransitionTime"))
    )


def _kubelet_reason(pod: Object) -> PodFailure | None:
    status = pod.get("status") or {}
    if status.get("phase") != "Failed":
        return None
    reason, message = str(status.get("reason", "")), str(status.get("message", ""))
    if reason in LOST_REASONS or reason.startswith("OutOf"):
        return _lost(pod, LOST_REASONS.get(reason, reason), message, None)
    if deletion_asked(pod) is not None:
        return None
    return PodFailure(pod["metadata"]["name"], reason or "Failed", message, _last_moment(pod), lost=False)


def _gone(pod: Object) -> PodFailure | None:
    """Deleted before its end, or on a node that no longer reports."""
    asked, phase = deletion_asked(pod), (pod.get("status") or {}).get("phase")
    if asked is not None and phase != "Succeeded" and not _ended_well(pod, asked):
        return _lost(pod, "Deleted", "", asked)
    conditions = conditions_of(pod)
    unready, containers = conditions.get("Ready", {}), conditions.get("ContainersReady", {})
    # The node controller clears the first for a node that does not report; only the kubelet writes the second.
    if phase == "Running" and unready.get("status") == "False" and containers.get("status") == "True":
        return _lost(pod, "NodeLost", "its node does not report", seconds_of(unready.get("lastTransitionTime")))
    return None


def _bad_ends(pod: Object) -> list[tuple[str, dict[str, Any]]]:
    ends = [(one["name"], (one.get("state") or {}).get("terminated")) for one in container_statuses(pod)]
    return [(name, end) for name, end in ends if end and end["exitCode"]]


def _ended_well(pod: Object, before: float) -> bool:
    ends = [
        (one.get("state") or {}).get("terminated") for one in (pod.get("status") or {}).get("containerStatuses") or []
    ]
    return bool(ends) and all(
        end and not end["exitCode"] and (seconds_of(end["finishedAt"]) or 0) <= before for end in ends
    )


def _is_disrupted(pod: Object) -> bool:
    """Whether a disruption ended the pod; the condition alone may announce one that did not happen."""
    ended = (pod.get("status") or {}).get("phase") == "Failed" or "deletionTimestamp" in pod["metadata"]
    return ended and conditions_of(pod).get("DisruptionTarget", {}).get("status") == "True"


def _ended(pod: Object, container: str, end: dict[str, Any], *, reason: str, lost: bool) -> PodFailure:
    at = seconds_of(end.get("finishedAt")) or _last_moment(pod)
    message = (end.get("message") or "").strip()
    return PodFailure(pod["metadata"]["name"], reason, message, at, lost, container, end["exitCode"])


def _lost(pod: Object, reason: str, message: str, at: float | None) -> PodFailure:
    return PodFailure(pod["metadata"]["name"], reason, message, at or _last_moment(pod), lost=True)


def _last_moment(pod: Object) -> float:
    """The latest time in the pod's status, where nothing says when it failed."""
    times = [seconds_of(one.get("lastTransitionTime")) for one in conditions_of(pod).values()]
    times += [seconds_of(end.get("finishedAt")) for _, end in _bad_ends(pod)]
    times += [seconds_of(pod["metadata"].get("creationTimestamp"))]
    return max(time or 0.0 for time in times)
