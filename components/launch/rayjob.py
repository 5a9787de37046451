"""A job as a RayJob (ray.io/v1) of KubeRay 1.5.1 or later: a head that runs the driver, and workers.

A third pod, the submitter, hands the driver to the head and shows its log. It has no secrets of ours and is the one
whose log is followed; when its connection breaks it is started again and goes on following. The head has no CPUs for
Ray to give away, so actors run on the workers, and a lost worker is replaced by KubeRay without a new start of the job.

Ray asks everyone for a token, which KubeRay makes for each cluster and keeps in a Secret.
"""

import shlex
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from math import ceil

from kubernetes.utils.quantity import parse_quantity

from components.launch.job import Job
from components.launch.kind import (
    Attempt,
    Object,
    Resource,
    Standing,
    deadline_of,
    metadata_of,
    pods_of,
)
from components.launch.pod_template import (
    CONTAINER_SECURITY,
    command_of,
    container_of,
    image_of,
    own_environment,
    pod_template,
    shared_memory_of,
)
from components.launch.run_on_cluster import run_on_cluster
from components.shared.errors import SettingsError

RESOURCE = Resource("ray.io", "v1", "rayjobs", "RayJob")
RAY_VERSION = "2.60.0"
"""The pinned version, for a step's image that holds no Ray."""
ROLE = "app.kubernetes.io/component"
SUBMITTER = "submitter"
SUBMITTER_CONTAINER = "ray-job-submitter"
SUBMITTER_RESOURCES = {"requests": {"cpu": "50m", "memory": "512Mi"}, "limits": {"memory": "512Mi"}}
SUBMITTER_RETRIES = 3
"""New submitters after a lost connection; each finds the driver and follows it. A failed driver needs none: its
submitter ends well, and Ray says that it failed."""
CLUSTER_KEPT_SECONDS = 60
"""How long pods are kept after the end, for what they can tell; with them the GPUs."""
OBJECT_STORE_BYTES = 200 * 2**20
"""Chunks of rows are all that passes through the object store."""
STARTING = ("", "New", "Initializing", "Waiting", "Retrying")
SUSPENDED = ("Suspending", "Suspended")
FAILED = ("Failed", "ValidationFailed")
# No telemetry; and a worker without GPUs for an actor does not hide them from the next.
RAY_ENVIRONMENT = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}


class RayJobKind:
    """RayJob."""

    @property
    def resource(self) -> Resource:
        """Where it lies in the API."""
        return RESOURCE

    def manifest(self, job: Job, attempt: Attempt) -> Object:
        """The RayJob; `suspend` when a queue has to admit it. Raises SettingsError."""
        spec = {
            "submissionMode": "K8sJobMode",
            "entrypoint": _entrypoint(job),
            "backoffLimit": 0,
            "activeDeadlineSeconds": deadline_of(job),
            "shutdownAfterJobFinishes": True,
            "ttlSecondsAfterFinished": min(job.launch.ttl_seconds, CLUSTER_KEPT_SECONDS),
            "suspend": bool(job.launch.pods.queue),
            "submitterConfig": {"backoffLimit": SUBMITTER_RETRIES},
            "submitterPodTemplate": _submitter(job, attempt),
            "rayClusterSpec": _cluster(job, attempt),
        }
        return {
            "apiVersion": RESOURCE.api_version,
            "kind": RESOURCE.kind,
            "metadata": metadata_of(job, attempt),
            "spec": spec,
        }

    def standing(self, resource: Object) -> Standing:
        """How far it is: the state of its cluster first, then that of the driver."""
        status = resource.get("status", {})
        deployment, driver = status.get("jobDeploymentStatus", ""), status.get("jobStatus", "")
        told = status.get("reason", ""), status.get("message", "")
        if deployment in FAILED:
            return Standing("failed", *told)
        if deployment == "Complete":
            return Standing("succeeded", *told) if driver == "SUCCEEDED" else Standing("failed", driver, told[1])
        if deployment in SUSPENDED or resource["spec"].get("suspend"):
            return Standing("queued")
        return Standing("starting" if deployment in STARTING or driver in ("", "PENDING") else "running")

    def stopping(self) -> Object:
        """Nothing: its operator leaves a resource alone that is being deleted."""
        return {}

    def pod_selector(self, job: Job) -> str:
        """The label selector of its pods."""
        return pods_of(job)

    def is_main(self, pod: Object) -> bool:
        """Whether it is the submitter, which shows the driver's log."""
        return pod["metadata"]["labels"].get(ROLE) == SUBMITTER


def run_as_rayjob(job: Job) -> None:
    """Run a job as a RayJob. Raises JobError when it does not end well."""
    run_on_cluster(RayJobKind(), job)


def ray_version() -> str:
    """The version of Ray that the cluster's image has: that of this installation, else the pinned one."""
    try:
        return version("ray")
    except PackageNotFoundError:
        return RAY_VERSION


def _entrypoint(job: Job) -> str:
    """The driver's command. KubeRay and Ray each hand it to a shell, and no quoting outlasts both."""
    command = command_of(job)
    for word in command:
        if shlex.quote(word) != word:
            raise SettingsError(
                f"argument {word!r} of {job.module} cannot reach a RayJob's driver",
                rule="letters, digits and @%+=:,./-_ only",
                remedy="give the store's root another name",
            )
    return " ".join(command)


def _cluster(job: Job, attempt: Attempt) -> Object:
    """The Ray cluster: a head without CPUs or GPUs for actors, and the workers."""
    head = _ray_container(job, "ray-head", gpus=False)
    head["ports"] = [{"name": "gcs-server", "containerPort": 6379}, {"name": "dashboard", "containerPort": 8265}]
    workers = {
        "groupName": "workers",
        "replicas": job.launch.nodes,
        "minReplicas": job.launch.nodes,
        "maxReplicas": job.launch.nodes,
        "rayStartParams": {"num-cpus": str(_cpus(job)), **_object_store(job)},
        "template": pod_template(job, _as(attempt, "worker"), _ray_container(job, "ray-worker", gpus=True)),
    }
    return {
        "rayVersion": ray_version(),
        "authOptions": {"mode": "token"},
        "enableInTreeAutoscaling": False,
        "headGroupSpec": {
            "rayStartParams": {"num-cpus": "0", "num-gpus": "0", **_object_store(job)},
            "template": pod_template(job, _as(attempt, "head"), head),
        },
        "workerGroupSpecs": [workers],
    }


def _ray_container(job: Job, name: str, gpus: bool) -> Object:
    """A container that KubeRay starts Ray in."""
    pods = job.launch.pods if gpus else job.launch.pods.model_copy(update={"gpus": 0})
    environment = {**RAY_ENVIRONMENT, **job.launch.environment}
    launch = job.launch.model_copy(update={"pods": pods, "environment": environment})
    return container_of(job.model_copy(update={"launch": launch}), name)


def _submitter(job: Job, attempt: Attempt) -> Object:
    """The pod that submits the driver: with the image's `ray` only, and nothing that the driver alone needs."""
    own = {**own_environment(), **RAY_ENVIRONMENT}
    container = {
        "name": SUBMITTER_CONTAINER,
        "image": image_of(job),
        "imagePullPolicy": job.launch.pods.image_pull_policy,
        "env": [{"name": name, "value": value} for name, value in own.items() if name != "PYTHONUNBUFFERED"],
        "resources": SUBMITTER_RESOURCES,
        "volumeMounts": [{"name": "scratch", "mountPath": own["TMPDIR"]}],
        "securityContext": CONTAINER_SECURITY,
    }
    template = pod_template(job, _as(attempt, SUBMITTER), container)
    scratch = [each for each in template["spec"]["volumes"] if each["name"] == "scratch"]
    return {**template, "spec": {**template["spec"], "restartPolicy": "Never", "volumes": scratch}}


def _as(attempt: Attempt, role: str) -> Attempt:
    return replace(attempt, extra_labels={**attempt.extra_labels, ROLE: role})


def _cpus(job: Job) -> int:
    """Cores that a worker has for Ray to give away: those that it requests, and at least one for each process."""
    processes = job.launch.processes_per_node * job.launch.cpus_per_process
    return max(ceil(parse_quantity(job.launch.pods.cpu)), processes)


def _object_store(job: Job) -> dict[str, str]:
    """The size of Ray's object store, which lies in shared memory and leaves some of it free."""
    shared = int(parse_quantity(shared_memory_of(job.launch.pods)))
    return {"object-store-memory": str(min(OBJECT_STORE_BYTES, shared * 4 // 5))}
