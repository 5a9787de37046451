"""The simplest kind of job, pods for it, and an operator that plays their life cycles."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from components.launch.api.clock import timestamp_of
from components.launch.api.cluster import Cluster
from components.launch.api.resources import Object, Resource
from components.launch.follow.annotations import annotated
from components.launch.follow.reconcile import ClusterJob
from components.launch.follow.run_on_cluster import run_to_the_end
from components.launch.job import Job, Launch
from components.launch.kinds.kind import JOB_LABEL, Identity, JobAttempt, Standing, pods_of
from tests.unit.launch.api_server import ApiServer

PLURAL = "plainjobs"
PLAIN = Resource("plain.test", "v1", PLURAL, "PlainJob")
NAME = "train-sft-0123456789abcdef"


class PlainKind:
    """A resource whose status holds Tutelage's own name of its state."""

    @property
    def resource(self) -> Resource:
        return PLAIN

    def as_served(self, cluster: Cluster) -> "PlainKind":
        return self

    def manifest(self, job: Job, attempt: JobAttempt) -> Object:
        launch = job.launch
        spec = {"module": job.module, "nodes": launch.nodes, "environment": launch.environment, "speeds": launch.speeds}
        return {"apiVersion": "plain.test/v1", "kind": "PlainJob", "metadata": {}, "spec": spec}

    def standing(self, resource: Object) -> Standing:
        status = resource.get("status", {})
        return Standing(status.get("state", "starting"), status.get("reason", ""), status.get("message", ""))

    def stopping(self) -> Object:
        return {"paused": True}

    def pod_selector(self, job: Job) -> str:
        return pods_of(job)

    def is_main(self, pod: Object) -> bool:
        return self.node_of(pod) == 0

    def node_of(self, pod: Object) -> int | None:
        return int(pod["metadata"]["name"].rpartition("-")[2])


def job(**launch: Any) -> Job:
    settings = Launch.model_validate({"launcher": "RayJob", **launch})
    return Job(
        name=NAME, program="torchrun", module="components.train.methods.sft", arguments=("--job", "x"), launch=settings
    )


@dataclass
class Bench:
    """One job on the fake API server."""

    api: ApiServer
    cluster: Cluster
    identity: Identity = field(default_factory=lambda: Identity("team", run="run-1"))

    def run(self, **launch: Any) -> None:
        run_to_the_end(ClusterJob(PlainKind(), job(**launch), self.cluster, self.identity, self.api.clock))

    def left(self, state: str, attempt: int = 0, **meta: Any) -> Object:
        """Create the resource of an earlier step."""
        left = annotated(
            PlainKind().manifest(job(), JobAttempt(self.identity)), job(), JobAttempt(self.identity, attempt)
        )
        left["metadata"] |= meta
        return self.api.put(PLURAL, {**left, "status": {"state": state}})

    def resource(self) -> Object | None:
        return self.api.get(PLURAL, NAME)

    def state(self, state: str, **more: str) -> None:
        """Set the resource's state."""
        existing = self.resource()
        assert existing is not None
        self.api.put(PLURAL, {**existing, "status": {"state": state, **more}})

    def pod(self, name: str, phase: str = "Running", container: Object | None = None, **more: Any) -> Object:
        """Create or change a pod of the job; `container` is the state of its container."""
        old = self.api.get("pods", name)
        now = timestamp_of(self.api.clock.now())
        meta = old["metadata"] if old else {"name": name, "labels": {JOB_LABEL: NAME}}
        state = container or {"running": {"startedAt": now}}
        status = {"phase": phase, "containerStatuses": [{"name": "main", "state": state}], **more}
        return self.api.put("pods", {"metadata": meta, "spec": {"containers": [{"name": "main"}]}, "status": status})

    def waiting_pod(self, name: str, message: str) -> None:
        """Create a pod for which there is no node."""
        placed = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
        self.pod(name, "Pending", {"waiting": {}}, conditions=[placed])

    def placed_pod(self, name: str) -> None:
        """Create a pod that runs on a node."""
        self.pod(name, conditions=[{"type": "PodScheduled", "status": "True"}])

    def end_pod(self, name: str, code: int, reason: str = "", **more: Any) -> None:
        end = {"exitCode": code, "reason": reason, "finishedAt": timestamp_of(self.api.clock.now())}
        self.pod(name, "Failed" if code else "Succeeded", {"terminated": end}, **more)

    def lose_pod(self, name: str, reason: str = "OOMKilled") -> None:
        self.end_pod(name, 137, reason)

    def operator(self, *lives: Callable[[], None]) -> None:
        """What happens after each creation, in order; the last one repeats."""
        made: list[Object] = []

        def on_create(resource: Object) -> None:
            made.append(resource)
            lives[min(len(made), len(lives)) - 1]()

        self.api.on_create = on_create

    def succeed(self) -> None:
        """A job that succeeds."""
        self.pod("pod-0")
        self.state("running")
        self.api.say("pod-0", "step 1", "step 2")
        self.end_pod("pod-0", 0)
        self.state("succeeded")


def until(happened: Callable[[], Any], seconds: float = 20.0) -> None:
    """Wait for a condition."""
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline, "the condition was not met in time"
        time.sleep(0.005)
