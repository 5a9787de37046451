"""Creates a job's custom resource, or adopts the existing one: two starts of a step share one job."""

import contextlib
import secrets
from dataclasses import dataclass, field
from functools import partial

from components.launch.api.clock import Clock
from components.launch.api.cluster import Cluster, Selector
from components.launch.api.refusals import Conflict, Forbidden, Unreachable
from components.launch.api.resources import PODS, Object
from components.launch.api.silence import until_answered
from components.launch.fewer_nodes import all_nodes, job_on_nodes
from components.launch.follow.annotations import (
    ACKNOWLEDGED_ANNOTATION,
    annotated,
    annotation,
    as_ours,
    is_for,
    run_of,
)
from components.launch.job import Job
from components.launch.kinds.kind import Identity, JobAttempt, Kind, resource_name
from components.shared.errors import JobError
from components.shared.log import EVENTS_IN_LOG, EVENTS_VARIABLE, say

GONE_SECONDS = 900.0
"""Longest wait for a deletion to finish: the resource's operator may be down for a while."""
PODS_GONE_SECONDS = 180.0
"""Longest wait for the resource's pods; then the garbage collector deletes the rest in the background."""
REPLACED_SECONDS = 60.0
SAY_SECONDS = 10.0
POLL_SECONDS = 1.0
FOREGROUND = "foregroundDeletion"
ENDED = ("succeeded", "failed")


@dataclass(frozen=True)
class ClusterJob:
    """One job with all that running it on a cluster takes: its kind, the namespace, who starts it, and the clock."""

    kind: Kind
    job: Job
    cluster: Cluster
    identity: Identity
    clock: Clock = field(default_factory=Clock)

    @property
    def name(self) -> str:
        """The resource's name."""
        return resource_name(self.job)

    @property
    def title(self) -> str:
        """KIND NAMESPACE/NAME, for people."""
        return f"{self.kind.resource.kind} {self.cluster.namespace}/{self.name}"


class JobReconciler:
    """Creates, finds and deletes the resource of one job."""

    def __init__(self, running: ClusterJob) -> None:
        self._kind, self._job, self._identity = running.kind, running.job, running.identity
        self._cluster, self._clock = running.cluster, running.clock
        self.name, self.title = running.name, running.title
        self._held: Object | None = None
        self._creating = False

    def ensure(self) -> Object:
        """The job's resource: the existing one, unless its end has been acknowledged already, else a new one."""
        while True:
            existing = self.find()
            if existing is None:
                if (created := self.create(0)) is not None:
                    return created
            elif "deletionTimestamp" in existing["metadata"]:
                self.wait_until_gone(existing)
            elif self._is_over(existing):
                say("launch", f"{self.title}: deleting an earlier job that has ended")
                self.delete(existing)
                self.wait_until_gone(existing)
            else:
                return self._adopt(existing)

    def find(self) -> Object | None:
        """The resource with the job's name."""
        return until_answered(self._clock, lambda: self._cluster.get(self._kind.resource, self.name))

    def create(self, number: int, nodes: tuple[int, ...] = ()) -> Object | None:
        """Create the resource for an attempt of the job; None when another step has created it first.

        Args:
            number: of the attempt.
            nodes: the numbers of the nodes that it runs on; empty: all.
        """
        job = _with_progress_in_log(self._job)
        if job.launch.may_shrink:
            nodes = nodes or all_nodes(job.launch)
            job = job_on_nodes(job, nodes)
        attempt = JobAttempt(self._identity, number, creation=secrets.token_hex(8), nodes=nodes)
        body = annotated(self._kind.manifest(job, attempt), self._job, attempt)
        self._creating = True
        try:
            self._held = until_answered(self._clock, lambda: self._cluster.create(self._kind.resource, body))
        except Conflict:
            self._creating = False
            return None
        self._creating = False
        say("launch", f"{self.title}: created")
        return self._held

    def delete(self, resource: Object) -> None:
        """Delete this very resource after its pods, whose names the next attempt needs; does not wait for it."""
        until_answered(self._clock, lambda: delete_job(self._cluster, self._kind, resource, pods_first=True))

    def wait_until_gone(self, resource: Object) -> None:
        """Wait until a resource that is being deleted is gone. Raises JobError after GONE_SECONDS."""
        began, said, uid = self._clock.now(), False, resource["metadata"]["uid"]
        while (existing := self.find()) is not None and existing["metadata"]["uid"] == uid:
            waited = self._clock.now() - began
            if waited > GONE_SECONDS:
                raise self._stuck(existing, waited)
            if waited > SAY_SECONDS and not said:
                said = True
                say("launch", f"{self.title}: waiting until the earlier one is deleted")
            if existing["metadata"].get("finalizers") == [FOREGROUND] and self._need_not_wait(waited):
                delete = partial(self._cluster.delete, self._kind.resource, self.name, uid, policy="Background")
                until_answered(self._clock, delete)
            self._clock.sleep(POLL_SECONDS)

    def acknowledge(self, resource: Object) -> None:
        """Keep a resource that has ended, and annotate it: a step that asks for the job again triggers a re-run."""
        self._held, self._creating = None, False
        try:
            self._patch(resource, {"metadata": {"annotations": {ACKNOWLEDGED_ANNOTATION: "true"}}})
        except Forbidden as error:
            say("launch", f"{self.title} cannot be annotated as acknowledged: {error}")

    def adopt_replacement(self, gone: Object) -> Object:
        """The resource that another step creates in place of one that it deletes.

        Raises:
            JobError: none was created: somebody else ended the job.
        """
        self.wait_until_gone(gone)
        began = self._clock.now()
        while self._clock.now() - began < REPLACED_SECONDS:
            existing = self.find()
            if existing is not None and "deletionTimestamp" not in existing["metadata"]:
                return self._adopt(existing)
            self._clock.sleep(POLL_SECONDS)
        raise JobError(
            f"{self.title} was deleted by somebody else before it ended",
            remedy="run again to continue from what is done",
        )

    def delete_ours(self) -> bool:
        """Delete what this step has created or adopted, with one request each; whether nothing is left to delete."""
        try:
            if self._held is not None:
                delete_job(self._cluster, self._kind, self._held, pods_first=False)
            # A creation that was interrupted may have succeeded on the server.
            existing = self._cluster.get(self._kind.resource, self.name) if self._creating else None
            if existing is not None and is_for(existing, self._job) and run_of(existing) == self._identity.run:
                delete_job(self._cluster, self._kind, existing, pods_first=False)
        except (Unreachable, JobError):
            return False
        self._held, self._creating = None, False
        return True

    def _need_not_wait(self, waited: float) -> bool:
        """Whether the resource may be deleted before what it owns.

        A pod on a lost node never terminates. And while a TrainJob is being deleted, Kubeflow Trainer recreates its
        JobSet (without pods, since it is suspended) each time the garbage collector deletes it, without end.
        """
        if waited > PODS_GONE_SECONDS:
            return True
        if not self._kind.stopping():
            return False
        selector = Selector(self._kind.pod_selector(self._job))
        return not until_answered(self._clock, lambda: self._cluster.select(PODS, selector)).items

    def _stuck(self, resource: Object, waited: float) -> JobError:
        finalizers = ", ".join(resource["metadata"].get("finalizers") or []) or "none"
        return JobError(
            f"{self.title} has been terminating for {waited:.0f} s (finalizers: {finalizers})",
            remedy="check that its operator runs: it removes the finalizers that it has set",
        )

    def _adopt(self, resource: Object) -> Object:
        if not is_for(resource, self._job):
            raise JobError(
                f"{self.title} runs for another store or other inputs",
                rule="a job's name comes from its output's address, and must be unique in its namespace",
                remedy="wait for it to end, delete it, or use another namespace (launch.pods.namespace)",
            )
        self._held = resource
        say("launch", f"{self.title}: found, following it")
        if run_of(resource) != self._identity.run:
            self._patch(resource, as_ours(self._identity))
        return resource

    def _is_over(self, resource: Object) -> bool:
        """Whether it has ended and no step waits for its result."""
        ended = self._kind.standing(resource).state in ENDED
        return ended and (bool(annotation(resource, ACKNOWLEDGED_ANNOTATION)) or not is_for(resource, self._job))

    def _patch(self, resource: Object, body: Object) -> None:
        # With the uid in it, the API server refuses to patch another resource of the same name.
        body["metadata"]["uid"] = resource["metadata"]["uid"]
        try:
            until_answered(self._clock, lambda: self._cluster.patch(self._kind.resource, self.name, body))
        except Conflict:
            say("launch", f"{self.title}: another resource has replaced it")


def delete_job(cluster: Cluster, kind: Kind, resource: Object, *, pods_first: bool) -> None:
    """Stop this very resource, so that its operator creates nothing more of it, and delete it with all that it owns.

    One request for each. Nothing happens when it is gone, or when its name belongs to another resource by now.

    Args:
        cluster: the namespace.
        kind: of the resource.
        resource: what is deleted.
        pods_first: whether the resource stays until its pods are gone. Without it, one that has to be stopped goes
            first: while a TrainJob is being deleted, Kubeflow Trainer (2.1 and 2.3) recreates its JobSet each time the
            garbage collector deletes it, and neither of them gives up.

    Raises:
        JobError: a right is missing.
        Unreachable: the API server does not answer.
    """
    name, uid = resource["metadata"]["name"], resource["metadata"]["uid"]
    changed = kind.stopping()
    if changed:
        with contextlib.suppress(Conflict):  # another resource of its name: the deletion spares it too
            cluster.patch(kind.resource, name, {"metadata": {"uid": uid}, "spec": changed})
    cluster.delete(kind.resource, name, uid, policy="Foreground" if pods_first or not changed else "Background")


def _with_progress_in_log(job: Job) -> Job:
    """The job with its progress as events in its log, where this step reads them."""
    environment = {EVENTS_VARIABLE: EVENTS_IN_LOG, **job.launch.environment}
    return job.model_copy(update={"launch": job.launch.model_copy(update={"environment": environment})})
