"""Runs a short-lived pod with an image, and the environment, secrets and certificates of a run's pods."""

import time
import uuid
from dataclasses import dataclass

from components.launch.api.cluster import Cluster
from components.launch.api.refusals import Absent, NotReady, Unreachable
from components.launch.api.resources import PODS, Object
from components.launch.job import Job, Launch
from components.launch.kinds.kind import Identity, JobAttempt
from components.launch.kinds.pod_template import command_of, container_of, pod_metadata, pod_spec
from components.launch.pods import Pods
from components.launch.verdicts.failure import container_statuses
from components.launch.verdicts.start_trouble import trouble_of
from components.shared.store.attempts import ATTEMPTS_VARIABLE

POLL_SECONDS = 1.0
START_SECONDS = 180.0
RUN_SECONDS = 120.0
TAIL_LINES = 20


@dataclass(frozen=True)
class PodResult:
    """How a pod ended.

    Attributes:
        started: whether its container ran.
        good: whether it succeeded.
        text: the last lines of its log, or what went wrong.
        remedy: what to do about it.
    """

    started: bool
    good: bool
    text: str
    remedy: str = ""


def run_pod(cluster: Cluster, pods: Pods, module: str, *arguments: str) -> PodResult:
    """Run `python -m MODULE` in a pod of these settings, and delete the pod.

    Raises:
        JobError: the cluster refuses the pod.
        Unreachable: the API server does not respond.
    """
    manifest = _manifest(cluster.namespace, pods, module, arguments)
    name = manifest["metadata"]["name"]
    cluster.create(PODS, manifest)
    try:
        return _follow(cluster, name)
    finally:
        cluster.delete(PODS, name)


def _manifest(namespace: str, pods: Pods, module: str, arguments: tuple[str, ...]) -> Object:
    few = {**pods.environment, ATTEMPTS_VARIABLE: "3"}  # interactive: fail soon
    small = pods.model_copy(
        update={"cpu": "50m", "memory": "512Mi", "gpus": 0, "scratch": "1Gi", "queue": "", "environment": few}
    )
    name = f"tutelage-doctor-{uuid.uuid4().hex[:8]}"
    job = Job(name=name, program="ray", module=module, arguments=arguments, launch=Launch(pods=small))
    attempt = JobAttempt(Identity(namespace))
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {**pod_metadata(job, attempt), "name": name, "namespace": namespace},
        "spec": {
            **pod_spec(small, container_of(job, "doctor", command_of(job))),
            "restartPolicy": "Never",
            # The pod ends by itself if this process is killed.
            "activeDeadlineSeconds": int(START_SECONDS + RUN_SECONDS),
        },
    }


def _follow(cluster: Cluster, name: str) -> PodResult:
    begin = time.monotonic()
    while True:
        pod = _look(cluster, name)
        phase = pod["status"].get("phase", "Pending") if pod else "Pending"
        if pod and phase in {"Succeeded", "Failed"}:
            return _ended(cluster, pod, phase)
        trouble = trouble_of(pod) if pod else None
        waited = time.monotonic() - begin
        if trouble and (trouble.grace_period is not None or waited > START_SECONDS / 3):
            return PodResult(False, False, trouble.words, trouble.remedy)
        if waited > START_SECONDS and phase == "Pending":
            return PodResult(False, False, f"pod {name} has not started after {waited:.0f} s", "see the pod's events")
        if waited > START_SECONDS + RUN_SECONDS:
            return PodResult(True, False, f"pod {name} has not ended after {waited:.0f} s", "see the pod's log")
        time.sleep(POLL_SECONDS)


def _look(cluster: Cluster, name: str) -> Object | None:
    try:
        return cluster.get(PODS, name)
    except Unreachable:
        return None


def _ended(cluster: Cluster, pod: Object, phase: str) -> PodResult:
    try:
        last_lines = "\n".join(cluster.read_log(pod["metadata"]["name"], "doctor", TAIL_LINES)).strip()
    except (Absent, NotReady, Unreachable):
        last_lines = ""
    ends = [(status.get("state") or {}).get("terminated") or {} for status in container_statuses(pod)]
    why = next((f"{end.get('reason', '')} (exit code {end.get('exitCode')})" for end in ends if end), "")
    return PodResult(True, phase == "Succeeded", last_lines or why or pod["status"].get("message", ""))
