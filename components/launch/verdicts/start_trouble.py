"""What keeps a pod from starting, reported early and in the words of the kubelet or the scheduler.

Waiting does not solve every trouble: an invalid image reference fails the job at once. An image that its registry lacks
or refuses, and a missing Secret or key, fail it after a minute, in which a person or another program may still create
them. A registry that does not answer, and a cluster without capacity, may recover: they fail the job after
`start_seconds`.
"""

from dataclasses import dataclass

from components.launch.api.clock import seconds_of
from components.launch.api.resources import Object
from components.launch.verdicts.failure import conditions_of, container_statuses, main_container

GRACE_SECONDS = 60.0
HOPELESS = ("InvalidImageName", "ErrImageNeverPull")
PULLING = ("ErrImagePull", "ImagePullBackOff", "RegistryUnavailable", "ErrImageInspect", "SignatureValidationFailed")
CONFIGURING = ("CreateContainerConfigError", "CreateContainerError", "RunContainerError")
PASSING = ("ContainerCreating", "PodInitializing", "CrashLoopBackOff", "")
"""Not a trouble of the start: on its way, or started and ended before, which `failure.py` judges."""

REFUSED = (
    "not found",
    "manifest unknown",
    "does not exist",
    "unauthorized",
    "denied",
    "forbidden",
    "authentication required",
    "no basic auth",
    "no match for platform",
    "invalid reference",
)
"""Words of a registry that mean that a retry changes nothing."""

IMAGE_REMEDY = "correct launch.pods.image, push the image, or name the registry's credentials in image_pull_secrets"
ROOM_REMEDY = (
    "request less (launch.nodes, launch.pods), free capacity, or allow other nodes (node_selector, tolerations)"
)
CONFIGURING_REMEDY = "create the Secret, ConfigMap or key that it names in the job's namespace, or correct launch.pods"
SLOW_REMEDY = "see the pod's events; a slow pull or volume needs a larger launch.start_seconds"


@dataclass(frozen=True)
class Trouble:
    """Why a pod has not started.

    `grace_period`: seconds until it ends the job; None: `start_seconds`, counted from `since`.
    """

    pod: str
    reason: str
    message: str
    remedy: str
    since: float
    grace_period: float | None = None

    @property
    def words(self) -> str:
        """For people."""
        return f"pod {self.pod}: {self.reason}" + (f": {self.message}" if self.message else "")


def trouble_of(pod: Object) -> Trouble | None:
    """Why a pod does not start; None when it runs, has ended, is held by a scheduling gate, or is about to start."""
    return _unscheduled(pod) or next(filter(None, (_waiting(pod, one) for one in container_statuses(pod))), None)


def slow_start_of(pod: Object) -> Trouble | None:
    """A pod on a node whose containers are still being created, which is a trouble only when it takes too long."""
    scheduled = conditions_of(pod).get("PodScheduled", {})
    statuses = container_statuses(pod)
    waiting = [(one.get("state") or {}).get("waiting") for one in statuses]
    if scheduled.get("status") != "True" or not statuses or not all(waiting):
        return None
    since = seconds_of(scheduled.get("lastTransitionTime")) or _created(pod)
    return Trouble(pod["metadata"]["name"], "ContainerCreating", "its containers have not started", SLOW_REMEDY, since)


class Troubles:
    """What keeps a job's pods from starting, over time: each trouble is reported once, in its most detailed words."""

    def __init__(self, start_seconds: float) -> None:
        self._limit = start_seconds
        self._began: dict[tuple[str, str], float] = {}
        self._detailed: dict[tuple[str, str], Trouble] = {}
        self._reported: set[str] = set()

    def note(self, pods: list[Object], now: float) -> list[str]:
        """Take note of the pods' status; returns what is new to report."""
        found = {self._key(pod, trouble): trouble for pod in pods if (trouble := trouble_of(pod))}
        for key in self._began.keys() - found.keys():
            del self._began[key], self._detailed[key]
        for key, trouble in found.items():
            self._began.setdefault(key, now)
            # "Back-off pulling" says less than the refusal before it.
            if key not in self._detailed or _says_more(trouble, self._detailed[key]):
                self._detailed[key] = trouble
        new = [one.words for one in self._detailed.values() if one.words not in self._reported]
        self._reported |= set(new)
        return new

    def hopeless(self, pods: list[Object], now: float) -> Trouble | None:
        """The first trouble whose grace period is over."""
        for key, trouble in self._detailed.items():
            lasted = now - self._began[key]
            if trouble.grace_period is not None and lasted >= trouble.grace_period:
                return trouble
            if now - trouble.since >= self._limit:
                return trouble
        slow = (slow_start_of(pod) for pod in pods)
        return next((one for one in slow if one and now - one.since >= self._limit), None)

    def rule(self, trouble: Trouble) -> str:
        """The rule by which a trouble ends the job."""
        if trouble.grace_period is None:
            return f"a pod may take {self._limit:.0f} s to start (launch.start_seconds)"
        return "waiting does not solve this"

    def _key(self, pod: Object, trouble: Trouble) -> tuple[str, str]:
        """The kubelet alternates between pulling and backing off: that is one trouble."""
        return pod["metadata"]["uid"], "image" if trouble.remedy == IMAGE_REMEDY else trouble.reason


def _unscheduled(pod: Object) -> Trouble | None:
    placed = conditions_of(pod).get("PodScheduled", {})
    if placed.get("status") != "False" or placed.get("reason") != "Unschedulable":
        return None
    since = seconds_of(placed.get("lastTransitionTime")) or _created(pod)
    return Trouble(pod["metadata"]["name"], "Unschedulable", placed.get("message", ""), ROOM_REMEDY, since)


def _waiting(pod: Object, container: Object) -> Trouble | None:
    waiting = (container.get("state") or {}).get("waiting") or {}
    reason, message = waiting.get("reason", ""), (waiting.get("message") or "").strip()
    if reason in PASSING:
        return None
    since = seconds_of(conditions_of(pod).get("PodScheduled", {}).get("lastTransitionTime")) or _created(pod)
    remedy, grace_period = SLOW_REMEDY, None
    if reason in HOPELESS:
        remedy, grace_period = IMAGE_REMEDY, 0.0
    elif reason in PULLING:
        remedy = IMAGE_REMEDY
        grace_period = GRACE_SECONDS if any(word in message.lower() for word in REFUSED) else None
    elif reason in CONFIGURING:
        remedy, grace_period = CONFIGURING_REMEDY, GRACE_SECONDS
    named = message if container["name"] == main_container(pod) else f"container {container['name']}: {message}"
    return Trouble(pod["metadata"]["name"], reason, named, remedy, since, grace_period)


def _says_more(one: Trouble, other: Trouble) -> bool:
    return (one.grace_period is not None, len(one.message)) > (other.grace_period is not None, len(other.message))


def _created(pod: Object) -> float:
    return seconds_of(pod["metadata"].get("creationTimestamp")) or 0.0
