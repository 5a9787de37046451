"""Creates a job's resource, or adopts the one that is there: of two starts of a step, one job."""

from functools import partial

from components.launch.cluster import PODS, Selector
from components.launch.end_job import end_job
from components.launch.kind import Attempt, Object
from components.launch.launching import Launching
from components.launch.marks import TOLD_ANNOTATION, annotation, as_ours, is_for, marked, run_of
from components.launch.patience import patiently
from components.launch.refusals import Conflict, Forbidden, Unreachable
from components.shared.errors import JobError
from components.shared.log import say

GONE_SECONDS = 900.0
"""How long a resource that is being deleted may take: its operator may be down for a while."""
PODS_GONE_SECONDS = 180.0
"""How long its pods may take; then the rest of them is left to the garbage collector."""
REMADE_SECONDS = 60.0
TELL_SECONDS = 10.0
POLL_SECONDS = 1.0
FOREGROUND = "foregroundDeletion"
ENDED = ("succeeded", "failed")


class Keeper:
    """Makes, finds and removes the resource of one job."""

    def __init__(self, launching: Launching) -> None:
        self._kind, self._job, self._identity = launching.kind, launching.job, launching.identity
        self._cluster, self._clock = launching.cluster, launching.clock
        self.name, self.title = launching.name, launching.title
        self._held: Object | None = None
        self._creating = False

    def start(self) -> Object:
        """The job's resource: the one that is there, unless its end was heard of before, else a new one."""
        while True:
            there = self.find()
            if there is None:
                if (made := self.create(0)) is not None:
                    return made
            elif "deletionTimestamp" in there["metadata"]:
                self.wait_until_gone(there)
            elif self._is_over(there):
                say("launch", f"{self.title}: removing an earlier job that has ended")
                self.remove(there)
                self.wait_until_gone(there)
            else:
                return self._adopt(there)

    def find(self) -> Object | None:
        """The resource of the job's name."""
        return patiently(self._clock, lambda: self._cluster.get(self._kind.resource, self.name))

    def create(self, number: int) -> Object | None:
        """Create the resource for a start of the job; None when another step was faster."""
        attempt = Attempt(self._identity, number)
        body = marked(self._kind.manifest(self._job, attempt), self._job, attempt)
        self._creating = True
        try:
            self._held = patiently(self._clock, lambda: self._cluster.create(self._kind.resource, body))
        except Conflict:
            self._creating = False
            return None
        self._creating = False
        say("launch", f"{self.title}: created")
        return self._held

    def remove(self, resource: Object) -> None:
        """Delete this very resource and all that it made; does not wait for the end of that."""
        uid = resource["metadata"]["uid"]
        if changed := self._kind.stopping():
            self._patch(resource, {"metadata": {}, "spec": changed})
        # Its pods go first: the next start has their names.
        patiently(self._clock, lambda: self._cluster.delete(self._kind.resource, self.name, uid))

    def wait_until_gone(self, resource: Object) -> None:
        """Wait until a resource that is being deleted is gone. Raises JobError when that takes too long."""
        began, told = self._clock.now(), False
        while (there := self.find()) is not None and there["metadata"]["uid"] == resource["metadata"]["uid"]:
            waited = self._clock.now() - began
            if waited > GONE_SECONDS:
                held = ", ".join(there["metadata"].get("finalizers") or []) or "none"
                raise JobError(
                    f"{self.title} is being deleted for {waited:.0f} s and does not go (finalizers: {held})",
                    remedy="see whether its operator runs; it removes what it has put there",
                )
            if waited > TELL_SECONDS and not told:
                told = True
                say("launch", f"{self.title}: waiting until the earlier one is deleted")
            if there["metadata"].get("finalizers") == [FOREGROUND] and self._need_not_wait(waited):
                self._cease_waiting(there)
            self._clock.sleep(POLL_SECONDS)

    def _need_not_wait(self, waited: float) -> bool:
        """Whether a resource may go before what it made.

        One on whose node a pod is lost never hears that it has ended. And while a TrainJob is being deleted, Kubeflow
        Trainer makes its JobSet anew as soon as the garbage collector has removed it: without pods, since it is
        suspended, and without end.
        """
        if waited > PODS_GONE_SECONDS or not self._kind.stopping():
            return waited > PODS_GONE_SECONDS
        selector = Selector(self._kind.pod_selector(self._job))
        return not patiently(self._clock, lambda: self._cluster.select(PODS, selector)).items

    def _cease_waiting(self, resource: Object) -> None:
        uid = resource["metadata"]["uid"]
        delete = partial(self._cluster.delete, self._kind.resource, self.name, uid, policy="Background")
        patiently(self._clock, delete)

    def let_go(self, resource: Object) -> None:
        """Leave a resource that has ended where it is, and write on it that its end was heard of."""
        self._held, self._creating = None, False
        try:
            self._patch(resource, {"metadata": {"annotations": {TOLD_ANNOTATION: "true"}}})
        except Forbidden as error:
            say("launch", f"{self.title} cannot be marked as ended: {error}")

    def again(self, gone: Object) -> Object:
        """The resource that another step makes in the place of one that it deletes.

        Raises JobError when none comes: somebody else wanted the job to end.
        """
        self.wait_until_gone(gone)
        began = self._clock.now()
        while self._clock.now() - began < REMADE_SECONDS:
            there = self.find()
            if there is not None and "deletionTimestamp" not in there["metadata"]:
                return self._adopt(there)
            self._clock.sleep(POLL_SECONDS)
        raise JobError(
            f"{self.title} was deleted before it ended, by somebody else",
            remedy="run again to continue from what is done",
        )

    def remove_ours(self) -> bool:
        """End what this step has made or adopted, asking once; whether there is nothing left to delete."""
        try:
            if self._held is not None:
                end_job(self._cluster, self._kind, self._held)
            # A creation that was cut off may have come to pass.
            there = self._cluster.get(self._kind.resource, self.name) if self._creating else None
            if there is not None and is_for(there, self._job) and run_of(there) == self._identity.run:
                end_job(self._cluster, self._kind, there)
        except (Unreachable, JobError):
            return False
        self._held, self._creating = None, False
        return True

    def _adopt(self, resource: Object) -> Object:
        if not is_for(resource, self._job):
            raise JobError(
                f"{self.title} runs for another store or other inputs",
                rule="a job's name comes from its output's address, and a namespace has one of a name",
                remedy="wait for it to end, delete it, or use another namespace (launch.pods.namespace)",
            )
        self._held = resource
        say("launch", f"{self.title}: found, following it")
        if run_of(resource) != self._identity.run:
            self._patch(resource, as_ours(self._identity))
        return resource

    def _is_over(self, resource: Object) -> bool:
        """Whether it has ended and nobody waits to hear of that."""
        ended = self._kind.standing(resource).state in ENDED
        return ended and (bool(annotation(resource, TOLD_ANNOTATION)) or not is_for(resource, self._job))

    def _patch(self, resource: Object, body: Object) -> None:
        # With the uid in it, the API server refuses the patch of another resource of the same name.
        body["metadata"]["uid"] = resource["metadata"]["uid"]
        try:
            patiently(self._clock, lambda: self._cluster.patch(self._kind.resource, self.name, body))
        except Conflict:
            say("launch", f"{self.title}: replaced in the meantime")
