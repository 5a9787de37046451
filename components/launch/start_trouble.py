"""What keeps a pod from starting, named early and in the words of who knows: the kubelet or the scheduler.

Some troubles cannot pass by waiting: an image's name that is no name fails the job at once; an image that its registry
does not have, or refuses, and a Secret or key that is not there fail it after a minute, in which a person or another
program may still put them there. A registry that does not answer, and a cluster without room, may come back: they fail
the job after `start_seconds`.
"""

from dataclasses import dataclass

from components.launch.failure import conditions_of, container_statuses, main_container
from components.launch.kind import Object
from components.launch.moments import moment

CERTAIN_SECONDS = 60.0
HOPELESS = ("InvalidImageName", "ErrImageNeverPull")
PULLING = ("ErrImagePull", "ImagePullBackOff", "RegistryUnavailable", "ErrImageInspect", "SignatureValidationFailed")
CONFIGURING = ("CreateContainerConfigError", "CreateContainerError", "RunContainerError")
PASSING = ("ContainerCreating", "PodInitializing", "CrashLoopBackOff", "")
"""No trouble of the start: on its way, or started before and ended, which others judge."""

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
"""Words with which a registry says that asking again changes nothing."""

IMAGE_REMEDY = "correct launch.pods.image, push the image, or name a login for the registry in image_pull_secrets"
ROOM_REMEDY = "ask for less (launch.nodes, launch.pods), free room, or let the pods go where there is room"
CONFIGURING_REMEDY = "make the Secret, ConfigMap or key that it names in the job's namespace, or correct launch.pods"
SLOW_REMEDY = "see the pod's events; a slow pull or volume needs a larger launch.start_seconds"


@dataclass(frozen=True)
class Trouble:
    """Why a pod has not started. `certain` is how long (s) it is borne; None: `start_seconds`, counted from `since`."""

    pod: str
    reason: str
    message: str
    remedy: str
    since: float
    certain: float | None = None

    @property
    def words(self) -> str:
        """For people."""
        return f"pod {self.pod}: {self.reason}" + (f": {self.message}" if self.message else "")


def trouble_of(pod: Object) -> Trouble | None:
    """Why a pod does not start; None when it runs, ended, waits its turn or is on its way to start."""
    return _unscheduled(pod) or next(filter(None, (_waiting(pod, one) for one in container_statuses(pod))), None)


def slow_start_of(pod: Object) -> Trouble | None:
    """A pod that has a node and whose containers are still being created: right, unless it takes too long."""
    scheduled = conditions_of(pod).get("PodScheduled", {})
    statuses = container_statuses(pod)
    waiting = [(one.get("state") or {}).get("waiting") for one in statuses]
    if scheduled.get("status") != "True" or not statuses or not all(waiting):
        return None
    since = moment(scheduled.get("lastTransitionTime")) or _created(pod)
    return Trouble(pod["metadata"]["name"], "ContainerCreating", "it has not started", SLOW_REMEDY, since)


class Troubles:
    """What keeps a job's pods from starting, remembered from look to look: each is told once, in its fullest words."""

    def __init__(self, start_seconds: float) -> None:
        self._limit = start_seconds
        self._began: dict[tuple[str, str], float] = {}
        self._fullest: dict[tuple[str, str], Trouble] = {}
        self._told: set[str] = set()

    def look(self, pods: list[Object], now: float) -> list[str]:
        """Take the pods in; returns what is new to tell."""
        found = {self._key(pod, trouble): trouble for pod in pods if (trouble := trouble_of(pod))}
        for key in self._began.keys() - found.keys():
            del self._began[key], self._fullest[key]
        for key, trouble in found.items():
            self._began.setdefault(key, now)
            # "Back-off pulling" alone says less than the refusal that came before it.
            if key not in self._fullest or _says_more(trouble, self._fullest[key]):
                self._fullest[key] = trouble
        new = [one.words for one in self._fullest.values() if one.words not in self._told]
        self._told |= set(new)
        return new

    def hopeless(self, pods: list[Object], now: float) -> Trouble | None:
        """The first trouble that was borne long enough."""
        for key, trouble in self._fullest.items():
            borne = now - self._began[key]
            if trouble.certain is not None and borne >= trouble.certain:
                return trouble
            if now - trouble.since >= self._limit:
                return trouble
        slow = (slow_start_of(pod) for pod in pods)
        return next((one for one in slow if one and now - one.since >= self._limit), None)

    def rule(self, trouble: Trouble) -> str:
        """Why a trouble ends the job now."""
        if trouble.certain is None:
            return f"a pod may take {self._limit:.0f} s to start (launch.start_seconds)"
        return "this does not pass by waiting"

    def _key(self, pod: Object, trouble: Trouble) -> tuple[str, str]:
        """The kubelet alternates between trying and backing off: that is one trouble."""
        return pod["metadata"]["uid"], "image" if trouble.remedy == IMAGE_REMEDY else trouble.reason


def _unscheduled(pod: Object) -> Trouble | None:
    placed = conditions_of(pod).get("PodScheduled", {})
    if placed.get("status") != "False" or placed.get("reason") != "Unschedulable":
        return None
    since = moment(placed.get("lastTransitionTime")) or _created(pod)
    return Trouble(pod["metadata"]["name"], "Unschedulable", placed.get("message", ""), ROOM_REMEDY, since)


def _waiting(pod: Object, container: Object) -> Trouble | None:
    waiting = (container.get("state") or {}).get("waiting") or {}
    reason, message = waiting.get("reason", ""), (waiting.get("message") or "").strip()
    if reason in PASSING:
        return None
    since = moment(conditions_of(pod).get("PodScheduled", {}).get("lastTransitionTime")) or _created(pod)
    remedy, certain = SLOW_REMEDY, None
    if reason in HOPELESS:
        remedy, certain = IMAGE_REMEDY, 0.0
    elif reason in PULLING:
        remedy = IMAGE_REMEDY
        certain = CERTAIN_SECONDS if any(word in message.lower() for word in REFUSED) else None
    elif reason in CONFIGURING:
        remedy, certain = CONFIGURING_REMEDY, CERTAIN_SECONDS
    named = message if container["name"] == main_container(pod) else f"container {container['name']}: {message}"
    return Trouble(pod["metadata"]["name"], reason, named, remedy, since, certain)


def _says_more(one: Trouble, other: Trouble) -> bool:
    return (one.certain is not None, len(one.message)) > (other.certain is not None, len(other.message))


def _created(pod: Object) -> float:
    return moment(pod["metadata"].get("creationTimestamp")) or 0.0
