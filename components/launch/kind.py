"""The face that RayJob, TrainJob and PyTorchJob have in common, as plain functions of Kubernetes objects.

An object of the API is a dict as the API server gives it. Nothing here talks to a cluster: `run_on_cluster` does, with
one of these kinds in hand, so that every judgement can be tested on recorded objects.
"""

import math
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from components.launch.job import Job

MANAGED_BY = {"app.kubernetes.io/managed-by": "tutelage"}
RUN_LABEL = "tutelage.dev/run"
JOB_LABEL = "tutelage.dev/job"
ATTEMPT_ANNOTATION = "tutelage.dev/attempt"
QUEUE_LABEL = "kueue.x-k8s.io/queue-name"
QUEUE_PRIORITY_LABEL = "kueue.x-k8s.io/priority-class"
MOST_SECONDS = 2**31 - 1
NAME_LENGTH = 40
"""Longest name of a resource: operators append to it, and a label holds 63 characters."""

Object = dict[str, Any]
State = Literal["queued", "starting", "running", "succeeded", "failed"]


@dataclass(frozen=True)
class Identity:
    """Who starts a job: the namespace, the pipeline run, and what owns the step's pod (an owner reference or None)."""

    namespace: str
    run: str = ""
    owner: Object | None = None
    pod: str = ""


@dataclass(frozen=True)
class Standing:
    """How far a resource is, by its own status. `reason` and `message` are the operator's words."""

    state: State
    reason: str = ""
    message: str = ""


@dataclass(frozen=True)
class Resource:
    """Where a kind lies in the API."""

    group: str
    version: str
    plural: str
    kind: str

    @property
    def api_version(self) -> str:
        """GROUP/VERSION."""
        return f"{self.group}/{self.version}"


@dataclass(frozen=True)
class Attempt:
    """Which start of a job this is (0 is the first), by whom."""

    identity: Identity
    number: int = 0
    extra_labels: dict[str, str] = field(default_factory=dict)


class Kind(Protocol):
    """One kind of custom resource that runs jobs."""

    @property
    def resource(self) -> Resource:
        """Where it lies in the API."""
        ...

    def manifest(self, job: Job, attempt: Attempt) -> Object:
        """The object to create: named `resource_name(job)`, with `labels_of(job, attempt)` on it and on its pods."""
        ...

    def standing(self, resource: Object) -> Standing:
        """How far it is. A suspended resource (Kueue's) is `queued`."""
        ...

    def stopping(self) -> Object:
        """What of its spec is changed before it is deleted, so that its operator makes no more pods; empty: nothing."""
        ...

    def pod_selector(self, job: Job) -> str:
        """The label selector that finds all pods of the job, those of earlier attempts too."""
        ...

    def is_main(self, pod: Object) -> bool:
        """Whether a pod of the job is the one whose log is followed: rank 0, or the one that shows the driver's."""
        ...


def labels_of(job: Job, attempt: Attempt) -> dict[str, str]:
    """Labels by which a job's resource and all its pods are found again."""
    run = {RUN_LABEL: attempt.identity.run} if attempt.identity.run else {}
    return {**MANAGED_BY, **run, JOB_LABEL: resource_name(job), **attempt.extra_labels}


def pods_of(job: Job) -> str:
    """The label selector of a job's pods, for operators that let them carry our labels."""
    return f"{JOB_LABEL}={resource_name(job)}"


def metadata_of(job: Job, attempt: Attempt) -> Object:
    """The metadata of a job's resource; Kueue finds queue and priority there. The launcher adds its own marks."""
    pods = job.launch.pods
    queue = {QUEUE_LABEL: pods.queue, QUEUE_PRIORITY_LABEL: pods.queue_priority}
    return {
        "name": resource_name(job),
        "namespace": attempt.identity.namespace,
        "labels": {**labels_of(job, attempt), **{label: value for label, value in queue.items() if value}},
    }


def deadline_of(job: Job) -> int:
    """Seconds after which an operator ends a job that nobody watches any more; the launcher itself is stricter.

    It counts from the resource's start, so it allows for the time that pods take to start.
    """
    return min(math.ceil(job.launch.timeout_seconds + job.launch.start_seconds), MOST_SECONDS)


def condition_of(resource: Object, kind: str) -> Object | None:
    """The condition of a type in a resource's status, if it is true."""
    conditions = resource.get("status", {}).get("conditions") or []
    return next((each for each in conditions if each["type"] == kind and each["status"] == "True"), None)


def resource_name(job: Job) -> str:
    """A name for Kubernetes: the job's, its beginning cut so that the key at its end stays whole."""
    name = job.name.lower().replace("_", "-")
    if len(name) <= NAME_LENGTH:
        return name
    start, _, key = name.rpartition("-")
    return f"{start[: NAME_LENGTH - len(key) - 1].rstrip('-')}-{key}"
