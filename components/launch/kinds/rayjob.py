"""A job as a RayJob (ray.io/v1) of KubeRay 1.5.1 or later: a head that runs the driver, and workers.

A third pod, the submitter, submits the driver to the head and shows its log. It has none of our secrets, and its log
is the one that is followed; when its connection breaks, it is restarted and continues. The head offers no CPUs to Ray,
so actors run on the workers, and KubeRay replaces a lost worker without a new attempt of the job.

Ray requires a token of every client. KubeRay creates one for each cluster, in a Secret.
"""

import shlex
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from math import ceil

from kubernetes.utils.quantity import parse_quantity

from components.launch.api.cluster import Cluster
from components.launch.api.resources import RAYJOB, Object, Resource
from components.launch.job import Job
from components.launch.kinds.kind import JobAttempt, Kind, Standing, custom_resource, deadline_of, pods_of
from components.launch.kinds.pod_basics import SCRATCH, SCRATCH_VOLUME
from components.launch.kinds.pod_template import (
    CONTAINER_SECURITY,
    command_of,
    container_of,
    image_of,
    own_environment,
    pod_template,
    shared_memory_of,
)
from components.shared.errors import SettingsError

RAY_VERSION = "2.60.0"
"""The pinned version, for a step's image without Ray."""
ROLE = "app.kubernetes.io/component"
SUBMITTER = "submitter"
SUBMITTER_CONTAINER = "ray-job-submitter"
SUBMITTER_RAYJOBS = {"requests": {"cpu": "50m", "memory": "512Mi"}, "limits": {"memory": "512Mi"}}
SUBMITTER_RETRIES = 3
"""New submitters after a lost connection; each finds the driver and follows it. A failed driver needs none: its
submitter ends well, and Ray says that it failed."""
CLUSTER_KEPT_SECONDS = 60
"""How long pods are kept after the end, for their status and logs; they keep their GPUs as long."""
OBJECT_STORE_BYTES = 200 * 2**20
"""Only chunks of rows pass through the object store."""
STARTING = ("", "New", "Initializing", "Waiting", "Retrying")
SUSPENDED = ("Suspending", "Suspended")
FAILED = ("Failed", "ValidationFailed")
# No telemetry; and an actor without GPUs does not hide its worker's GPUs from the next one.
RAY_ENVIRONMENT = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}


class RayJobKind:
    """RayJob."""

    @property
    def resource(self) -> Resource:
        """Its place in the API."""
        return RAYJOB

    def as_served(self, cluster: Cluster) -> Kind:
        """The same: KubeRay serves one shape."""
        return self

    def manifest(self, job: Job, attempt: JobAttempt) -> Object:
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
        return custom_resource(RAYJOB, job, attempt, spec)

    def standing(self, resource: Object) -> Standing:
        """Its state: that of its Ray cluster first, then that of the driver."""
        status = resource.get("status", {})
        deployment, driver = status.get("jobDeploymentStatus", ""), status.get("jobStatus", "")
        reason, message = status.get("reason", ""), status.get("message", "")
        if deployment in FAILED:
            return Standing("failed", reason, message)
        if deployment == "Complete":
            return (
                Standing("succeeded", reason, message) if driver == "SUCCEEDED" else Standing("failed", driver, message)
            )
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

    def node_of(self, pod: Object) -> int | None:
        """None: Ray continues without a lost worker, and KubeRay replaces it."""
        return None


def ray_version() -> str:
    """The version of Ray that the cluster's image has: that of this installation, else the pinned one."""
    try:
        return version("ray")
    except PackageNotFoundError:
        return RAY_VERSION


def _entrypoint(job: Job) -> str:
    """The driver's command. KubeRay and Ray both pass it through a shell, and quoting does not survive that twice."""
    command = command_of(job)
    for word in command:
        if shlex.quote(word) != word:
            raise SettingsError(
                f"argument {word!r} of {job.module} cannot be passed to a RayJob's driver",
                rule="letters, digits and @%+=:,./-_ only",
                remedy="rename the root of the store",
            )
    return " ".join(command)


def _cluster(job: Job, attempt: JobAttempt) -> Object:
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
    """A container in which KubeRay starts Ray."""
    pods = job.launch.pods if gpus else job.launch.pods.model_copy(update={"gpus": 0})
    environment = {**RAY_ENVIRONMENT, **job.launch.environment}
    launch = job.launch.model_copy(update={"pods": pods, "environment": environment})
    return container_of(job.model_copy(update={"launch": launch}), name)


def _submitter(job: Job, attempt: JobAttempt) -> Object:
    """The pod that submits the driver: it needs the image's `ray`, and nothing else that the driver needs."""
    own = {**own_environment(), **RAY_ENVIRONMENT}
    container = {
        "name": SUBMITTER_CONTAINER,
        "image": image_of(job),
        "imagePullPolicy": job.launch.pods.image_pull_policy,
        "env": [{"name": name, "value": value} for name, value in own.items() if name != "PYTHONUNBUFFERED"],
        "resources": SUBMITTER_RAYJOBS,
        "volumeMounts": [{"name": SCRATCH_VOLUME, "mountPath": SCRATCH}],
        "securityContext": CONTAINER_SECURITY,
    }
    template = pod_template(job, _as(attempt, SUBMITTER), container)
    scratch = [each for each in template["spec"]["volumes"] if each["name"] == SCRATCH_VOLUME]
    return {**template, "spec": {**template["spec"], "restartPolicy": "Never", "volumes": scratch}}


def _as(attempt: JobAttempt, role: str) -> JobAttempt:
    return replace(attempt, extra_labels={**attempt.extra_labels, ROLE: role})


def _cpus(job: Job) -> int:
    """Cores that a worker offers to Ray: those that it requests, and at least those of its processes."""
    processes = job.launch.processes_per_node * job.launch.cpus_per_process
    return max(ceil(parse_quantity(job.launch.pods.cpu)), processes)


def _object_store(job: Job) -> dict[str, str]:
    """The size of Ray's object store: in shared memory, of which it leaves a fifth free."""
    shared = int(parse_quantity(shared_memory_of(job.launch.pods)))
    return {"object-store-memory": str(min(OBJECT_STORE_BYTES, shared * 4 // 5))}
