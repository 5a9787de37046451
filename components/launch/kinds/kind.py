"""What all kinds of jobs have in common: how a job becomes a custom resource, and what its status means.

Kinds are plain functions of Kubernetes objects; `as_served` alone asks the cluster. So they are tested on recorded
objects.
"""

import math
from dataclasses import dataclass, field
from typing import Literal, Protocol

from components.launch.api.cluster import Cluster
from components.launch.api.resources import Object, Resource
from components.launch.fewer_nodes import as_text
from components.launch.job import Job
from components.launch.registry import LAUNCHERS

MANAGED_BY = {"app.kubernetes.io/managed-by": "tutelage"}
RUN_LABEL = "tutelage.dev/run"
JOB_LABEL = "tutelage.dev/job"
ATTEMPT_ANNOTATION = "tutelage.dev/attempt"
CREATION_ANNOTATION = "tutelage.dev/creation"
NODES_ANNOTATION = "tutelage.dev/nodes"
QUEUE_LABEL = "kueue.x-k8s.io/queue-name"
QUEUE_PRIORITY_LABEL = "kueue.x-k8s.io/priority-class"
MOST_SECONDS = 2**31 - 1
NAME_LENGTH = 40
"""Longest name of a resource: operators append to it, and a label is limited to 63 characters."""

State = Literal["queued", "starting", "running", "succeeded", "failed"]


@dataclass(frozen=True)
class Identity:
    """Who starts a job: the namespace, the pipeline run, and an owner reference to the owner of the step's pod."""

    namespace: str
    run: str = ""
    owner: Object | None = None
    pod: str = ""


@dataclass(frozen=True)
class Standing:
    """The state of a resource by its own status, with the reason and message that its operator gives."""

    state: State
    reason: str = ""
    message: str = ""


@dataclass(frozen=True)
class JobAttempt:
    """One attempt to run a job: its number (0 is the first), and who starts it.

    `creation` is unique to the resource that is created for it: a step that runs again counts from 0 again, while the
    operator may still create pods of the resource before. `nodes` are the numbers of the nodes that it runs on, in the
    order of ranks, where the job may continue on fewer than all.
    """

    identity: Identity
    number: int = 0
    creation: str = ""
    nodes: tuple[int, ...] = ()
    extra_labels: dict[str, str] = field(default_factory=dict)

    @property
    def annotations(self) -> dict[str, str]:
        """What tells its resource and its pods from those of other attempts."""
        unique = {CREATION_ANNOTATION: self.creation} if self.creation else {}
        nodes = {NODES_ANNOTATION: as_text(self.nodes)} if self.nodes else {}
        return {ATTEMPT_ANNOTATION: str(self.number), **unique, **nodes}


class Kind(Protocol):
    """One kind of custom resource that runs jobs. Its constructor takes no arguments."""

    @property
    def resource(self) -> Resource:
        """Its place in the API."""
        ...

    def as_served(self, cluster: Cluster) -> "Kind | None":
        """This kind in the shape that the cluster serves; None when it serves no known shape.

        Raises:
            JobError: the API server refuses.
            Unreachable: it does not answer.
        """
        ...

    def manifest(self, job: Job, attempt: JobAttempt) -> Object:
        """The object to create: by `custom_resource`, with `labels_of(job, attempt)` on its pods."""
        ...

    def standing(self, resource: Object) -> Standing:
        """Its state. A suspended resource is `queued`: Kueue suspends a job until its queue admits it."""
        ...

    def stopping(self) -> Object:
        """The change of its spec that stops its operator from creating pods, made before a deletion; empty: none."""
        ...

    def pod_selector(self, job: Job) -> str:
        """The label selector of all pods of the job, those of earlier attempts included."""
        ...

    def is_main(self, pod: Object) -> bool:
        """Whether the log of this pod of the job is followed: it runs rank 0, or shows the driver's log."""
        ...

    def node_of(self, pod: Object) -> int | None:
        """The place of a pod among the nodes of its attempt, from 0 in the order of ranks; None for other pods.

        A kind whose jobs never start again on fewer nodes returns None for all pods.
        """
        ...


def labels_of(job: Job, attempt: JobAttempt) -> dict[str, str]:
    """The labels of a job's resource and of all its pods."""
    run = {RUN_LABEL: attempt.identity.run} if attempt.identity.run else {}
    return {**MANAGED_BY, **run, JOB_LABEL: resource_name(job), **attempt.extra_labels}


def pods_of(job: Job) -> str:
    """The label selector of a job's pods, for operators that put our labels on them."""
    return f"{JOB_LABEL}={resource_name(job)}"


def custom_resource(resource: Resource, job: Job, attempt: JobAttempt, spec: Object) -> Object:
    """A job's resource; Kueue reads queue and priority from its labels. The launcher adds annotations."""
    pods = job.launch.pods
    queue = {QUEUE_LABEL: pods.queue, QUEUE_PRIORITY_LABEL: pods.queue_priority}
    return {
        "apiVersion": resource.api_version,
        "kind": resource.kind,
        "metadata": {
            "name": resource_name(job),
            "namespace": attempt.identity.namespace,
            "labels": {**labels_of(job, attempt), **{label: value for label, value in queue.items() if value}},
        },
        "spec": spec,
    }


def is_controlled(resource: Object) -> bool:
    """Whether another resource controls it, as a TrainJob does its JobSet: it is deleted with that one."""
    return any(owner.get("controller") for owner in resource["metadata"].get("ownerReferences") or [])


def deadline_of(job: Job) -> int:
    """Seconds after which the operator ends a job that is no longer followed; the launcher itself is stricter.

    They count from the resource's start, so they include the time that pods take to start.
    """
    return min(math.ceil(job.launch.timeout_seconds + job.launch.start_seconds), MOST_SECONDS)


def condition_of(resource: Object, kind: str) -> Object | None:
    """The condition of a type in a resource's status; None unless it is true."""
    conditions = resource.get("status", {}).get("conditions") or []
    return next((each for each in conditions if each["type"] == kind and each["status"] == "True"), None)


def standing_of(state: State, condition: Object) -> Standing:
    """The state that a condition shows, with the condition's reason and message."""
    return Standing(state, condition.get("reason", ""), condition.get("message", ""))


def number_of(text: str | None) -> int | None:
    """The number that an operator wrote as a label or an annotation; None where there is none."""
    return int(text) if text and text.isdigit() else None


def resource_name(job: Job) -> str:
    """The job's name for Kubernetes; a long one loses characters before the key at its end, which stays complete."""
    name = LAUNCHERS[job.launch.launcher].name_prefix + job.name.lower().replace("_", "-")
    if len(name) <= NAME_LENGTH:
        return name
    start, _, key = name.rpartition("-")
    return f"{start[: NAME_LENGTH - len(key) - 1].rstrip('-')}-{key}"
