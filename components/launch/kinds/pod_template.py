"""The pod templates of a job, for every kind of custom resource, as plain functions of the job.

The pods pass the restricted Pod Security Standard: they run as a numeric user who is not root, on a read-only root file
system (`pod_basics.py`), and get no token of their service account.
"""

from decimal import Decimal

from kubernetes.utils.quantity import parse_quantity

from components.launch.api.resources import Object
from components.launch.job import Job
from components.launch.kinds.kind import JobAttempt, labels_of
from components.launch.kinds.pod_basics import (
    CACHE_VARIABLES,
    CERTIFICATES,
    HOME_VARIABLES,
    SCRATCH,
    SCRATCH_VOLUME,
    trust_variables,
)
from components.launch.pods import CertificateAuthority, Pods
from components.shared.errors import SettingsError
from components.shared.store.attempts import ATTEMPTS_VARIABLE, PATIENT_ATTEMPTS

PYTHON = "python"
CERTIFICATES_VOLUME = "certificates"
BUNDLE = "ca.crt"
SHARED_MEMORY_VOLUME = "shared-memory"
MEBIBYTE = 2**20
LEAST_SHARED_MEBIBYTES = 64
CONTAINER_SECURITY: Object = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}


def pod_template(job: Job, attempt: JobAttempt, container: Object) -> Object:
    """A pod template with one container; the attempt brings extra labels of the pod."""
    return {"metadata": pod_metadata(job, attempt), "spec": pod_spec(job.launch.pods, container)}


def pod_metadata(job: Job, attempt: JobAttempt) -> Object:
    """The pods' labels and annotations: the job's, and those of the settings."""
    pods = job.launch.pods
    return {
        "labels": {**pods.labels, **labels_of(job, attempt)},
        "annotations": {**pods.annotations, **attempt.annotations},
    }


def pod_spec(pods: Pods, container: Object) -> Object:
    """The spec of a pod with one container."""
    priority = {"priorityClassName": pods.priority_class} if pods.priority_class else {}
    return {
        **placement_of(pods),
        **priority,
        "automountServiceAccountToken": False,
        # Service links are variables for every service of the namespace: those of one called ray or pet would be taken
        # for settings.
        "enableServiceLinks": False,
        "securityContext": pod_security(pods.user),
        "containers": [container],
        "volumes": volumes_of(pods),
    }


def placement_of(pods: Pods) -> Object:
    """Where the pods may run, and with which credentials they pull their image; only what is set."""
    asked: Object = {
        "serviceAccountName": pods.service_account,
        "nodeSelector": dict(pods.node_selector),
        "tolerations": [dict(each) for each in pods.tolerations],
        "affinity": dict(pods.affinity),
        "imagePullSecrets": [{"name": name} for name in pods.image_pull_secrets],
    }
    return {name: value for name, value in asked.items() if value}


def pod_security(user: int) -> Object:
    """The pod's security context: a numeric user, whose group owns the volumes."""
    return {
        "runAsNonRoot": True,
        "runAsUser": user,
        "runAsGroup": user,
        "fsGroup": user,
        "fsGroupChangePolicy": "OnRootMismatch",
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def container_of(job: Job, name: str, command: list[str] | None = None) -> Object:
    """The container that does the job's work, with its environment, resources and volumes.

    Raises:
        SettingsError: the settings lack an image.
    """
    pods = job.launch.pods
    return {
        "name": name,
        "image": image_of(job),
        "imagePullPolicy": pods.image_pull_policy,
        **({"command": command} if command else {}),
        "env": environment_of(job),
        "resources": resources_of(pods),
        "volumeMounts": mounts_of(pods),
        "securityContext": CONTAINER_SECURITY,
    }


def image_of(job: Job) -> str:
    """The image of the job's pods. Raises SettingsError when it is not set."""
    if not job.launch.pods.image:
        raise SettingsError(
            f"launcher {job.launch.launcher!r} lacks an image for the pods of {job.name}",
            rule="a job on a cluster runs in an image",
            remedy="set launch.pods.image",
        )
    return job.launch.pods.image


def command_of(job: Job) -> list[str]:
    """The command of a pod: a Ray driver, or one node's torchrun.

    torchrun reads the number of nodes, the rank of this one and the rendezvous from the PET_ variables that the
    operators set.
    """
    module = ["-m", job.module, *job.arguments]
    if job.program == "ray":
        return [PYTHON, *module]
    return [PYTHON, "-m", "components.launch.here.torchrun", *(["--preload"] if job.preload else []), *module]


def environment_of(job: Job) -> list[Object]:
    """The container's variables. The settings override what is set here, and a Secret's key overrides both."""
    pods = job.launch.pods
    plain = {**own_environment(), **_certificate_variables(pods.certificate_authority)}
    if job.program == "torchrun":
        plain["OMP_NUM_THREADS"] = str(job.launch.cpus_per_process)
    plain |= {**pods.environment, **job.launch.environment}
    secret = {
        variable: {"secretKeyRef": {"name": each.secret, "key": each.key}} for variable, each in pods.secrets.items()
    }
    values: list[Object] = [{"name": name, "value": value} for name, value in plain.items() if name not in secret]
    return values + [{"name": name, "valueFrom": source} for name, source in secret.items()]


def own_environment() -> dict[str, str]:
    """The variables of every program of ours in a job's pod."""
    return {
        "PYTHONUNBUFFERED": "1",
        **HOME_VARIABLES,
        "TMPDIR": SCRATCH,
        **CACHE_VARIABLES,
        ATTEMPTS_VARIABLE: str(PATIENT_ATTEMPTS),
    }


def resources_of(pods: Pods) -> Object:
    """Requests and limits: the limit of memory is its request; without a limit of CPU a pod may use idle cores."""
    gpus = {pods.gpu_resource: str(pods.gpus)} if pods.gpus else {}
    most = {"cpu": pods.cpu_limit} if pods.cpu_limit else {}
    return {
        "requests": {"cpu": pods.cpu, "memory": pods.memory, **gpus},
        "limits": {**most, "memory": pods.memory, **gpus},
    }


def volumes_of(pods: Pods) -> list[Object]:
    """The pod's volumes: shared memory, scratch, certificates, and those of the settings."""
    return [
        {"name": SHARED_MEMORY_VOLUME, "emptyDir": {"medium": "Memory", "sizeLimit": shared_memory_of(pods)}},
        {"name": SCRATCH_VOLUME, "emptyDir": {"sizeLimit": pods.scratch}},
        *_certificate_volumes(pods.certificate_authority),
        *(dict(each) for each in pods.volumes),
    ]


def mounts_of(pods: Pods) -> list[Object]:
    """Where the container mounts its volumes."""
    certificates = [{"name": CERTIFICATES_VOLUME, "mountPath": CERTIFICATES, "readOnly": True}]
    return [
        {"name": SHARED_MEMORY_VOLUME, "mountPath": "/dev/shm"},  # noqa: S108 - a volume of the pod's own
        {"name": SCRATCH_VOLUME, "mountPath": SCRATCH},
        *(certificates if pods.certificate_authority else []),
        *(dict(each) for each in pods.volume_mounts),
    ]


def shared_memory_of(pods: Pods) -> str:
    """The size of /dev/shm, which counts as memory of the pod: as set, else half of the pod's memory."""
    half = int(Decimal(parse_quantity(pods.memory))) // 2 // MEBIBYTE
    return pods.shared_memory or f"{max(half, LEAST_SHARED_MEBIBYTES)}Mi"


def _certificate_variables(authority: CertificateAuthority | None) -> dict[str, str]:
    return trust_variables(BUNDLE) if authority else {}


def _certificate_volumes(authority: CertificateAuthority | None) -> list[Object]:
    if authority is None:
        return []
    items = [{"key": authority.key, "path": BUNDLE}]
    if authority.config_map:
        return [{"name": CERTIFICATES_VOLUME, "configMap": {"name": authority.config_map, "items": items}}]
    return [{"name": CERTIFICATES_VOLUME, "secret": {"secretName": authority.secret, "items": items}}]
