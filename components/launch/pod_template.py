"""The pods of a job, in Kubernetes' words: what every kind of resource makes its pods of.

Everything is a plain function of the job. The pods pass the restricted Pod Security Standard: they run as a numeric
user who is not root, on a read-only root file system, and get no token of their service account. What programs write
goes to /tmp, a volume of the pod's own; HOME and the cache of models lie there too.
"""

from decimal import Decimal

from kubernetes.utils.quantity import parse_quantity

from components.launch.job import Job
from components.launch.kind import ATTEMPT_ANNOTATION, Attempt, Object, labels_of
from components.launch.pods import CertificateAuthority, Pods
from components.shared.errors import SettingsError
from components.shared.store import ATTEMPTS_VARIABLE, PATIENT_ATTEMPTS

PYTHON = "python"
SCRATCH = "/tmp"  # noqa: S108 - a volume of the pod's own
CACHE = f"{SCRATCH}/tutelage-cache"
CERTIFICATES = "/etc/tutelage/certificates"
BUNDLE = f"{CERTIFICATES}/ca.crt"
BUNDLE_VARIABLES = ("AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE")
MEBIBYTE = 2**20
LEAST_SHARED_MEBIBYTES = 64
CONTAINER_SECURITY: Object = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}


def pod_template(job: Job, attempt: Attempt, container: Object) -> Object:
    """A pod template with one container; extra labels of the pod come with the attempt."""
    return {"metadata": pod_metadata(job, attempt), "spec": pod_spec(job.launch.pods, container)}


def pod_metadata(job: Job, attempt: Attempt) -> Object:
    """The pods' labels and annotations: the job's, and those of the settings."""
    pods = job.launch.pods
    return {
        "labels": {**pods.labels, **labels_of(job, attempt)},
        "annotations": {**pods.annotations, ATTEMPT_ANNOTATION: str(attempt.number)},
    }


def pod_spec(pods: Pods, container: Object) -> Object:
    """The spec of a pod with one container."""
    priority = {"priorityClassName": pods.priority_class} if pods.priority_class else {}
    return {
        **placement_of(pods),
        **priority,
        "automountServiceAccountToken": False,
        # Variables that name every service of the namespace; a service called ray or pet would be taken for settings.
        "enableServiceLinks": False,
        "securityContext": pod_security(pods.user),
        "containers": [container],
        "volumes": volumes_of(pods),
    }


def placement_of(pods: Pods) -> Object:
    """Where the pods may run, and as whom they pull their image; only what is set."""
    asked: Object = {
        "serviceAccountName": pods.service_account,
        "nodeSelector": dict(pods.node_selector),
        "tolerations": [dict(each) for each in pods.tolerations],
        "affinity": dict(pods.affinity),
        "imagePullSecrets": [{"name": name} for name in pods.image_pull_secrets],
    }
    return {name: value for name, value in asked.items() if value}


def pod_security(user: int) -> Object:
    """The pod's security context: a numeric user whose group owns the volumes."""
    return {
        "runAsNonRoot": True,
        "runAsUser": user,
        "runAsGroup": user,
        "fsGroup": user,
        "fsGroupChangePolicy": "OnRootMismatch",
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def container_of(job: Job, name: str, command: list[str] | None = None) -> Object:
    """The container that does the job's work, with its whole environment, GPUs and volumes.

    Raises:
        SettingsError: the settings name no image.
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
    """The image. Raises SettingsError when there is none."""
    if not job.launch.pods.image:
        raise SettingsError(
            f"launcher {job.launch.launcher!r} has no image for the pods of {job.name}",
            rule="a job on a cluster runs in an image",
            remedy="set launch.pods.image",
        )
    return job.launch.pods.image


def command_of(job: Job) -> list[str]:
    """The command of a pod: a Ray driver, or one node's torchrun.

    How many nodes there are, which one this is and where they meet, torchrun reads from the PET_ variables that the
    operators set.
    """
    module = ["-m", job.module, *job.arguments]
    if job.program == "ray":
        return [PYTHON, *module]
    return [PYTHON, "-m", "components.launch.torchrun", *(["--preload"] if job.preload else []), *module]


def environment_of(job: Job) -> list[Object]:
    """The container's variables; what the settings say wins over what is set here, and a Secret's key over both."""
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
    """What every program of ours needs on a read-only root file system, as a user whom no passwd file names."""
    return {
        "PYTHONUNBUFFERED": "1",
        "HOME": SCRATCH,
        "USER": "tutelage",
        "TMPDIR": SCRATCH,
        "TUTELAGE_CACHE": CACHE,
        ATTEMPTS_VARIABLE: str(PATIENT_ATTEMPTS),
    }


def resources_of(pods: Pods) -> Object:
    """Requests and limits: memory is what is asked for and no more; CPU may be more when there is some."""
    gpus = {pods.gpu_resource: str(pods.gpus)} if pods.gpus else {}
    return {
        "requests": {"cpu": pods.cpu, "memory": pods.memory, **gpus},
        "limits": {"memory": pods.memory, **gpus},
    }


def volumes_of(pods: Pods) -> list[Object]:
    """The pod's volumes: shared memory, scratch, certificates, and those of the settings."""
    return [
        {"name": "shared-memory", "emptyDir": {"medium": "Memory", "sizeLimit": shared_memory_of(pods)}},
        {"name": "scratch", "emptyDir": {"sizeLimit": pods.scratch}},
        *_certificate_volumes(pods.certificate_authority),
        *(dict(each) for each in pods.volumes),
    ]


def mounts_of(pods: Pods) -> list[Object]:
    """Where the container finds its volumes."""
    certificates = [{"name": "certificates", "mountPath": CERTIFICATES, "readOnly": True}]
    return [
        {"name": "shared-memory", "mountPath": "/dev/shm"},  # noqa: S108 - a volume of the pod's own
        {"name": "scratch", "mountPath": SCRATCH},
        *(certificates if pods.certificate_authority else []),
        *(dict(each) for each in pods.volume_mounts),
    ]


def shared_memory_of(pods: Pods) -> str:
    """The size of /dev/shm, which counts as memory of the pod: what is set, else half of the pod's memory."""
    half = int(Decimal(parse_quantity(pods.memory))) // 2 // MEBIBYTE
    return pods.shared_memory or f"{max(half, LEAST_SHARED_MEBIBYTES)}Mi"


def _certificate_variables(authority: CertificateAuthority | None) -> dict[str, str]:
    return dict.fromkeys(BUNDLE_VARIABLES, BUNDLE) if authority else {}


def _certificate_volumes(authority: CertificateAuthority | None) -> list[Object]:
    if authority is None:
        return []
    items = [{"key": authority.key, "path": "ca.crt"}]
    if authority.config_map:
        return [{"name": "certificates", "configMap": {"name": authority.config_map, "items": items}}]
    return [{"name": "certificates", "secret": {"secretName": authority.secret, "items": items}}]
