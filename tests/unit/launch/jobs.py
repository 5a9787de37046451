"""Jobs as steps describe them, and what a pod needs to pass the restricted Pod Security Standard."""

from typing import Any

from components.launch.api.resources import Object
from components.launch.job import Job, Launch
from components.launch.kinds.kind import Identity, JobAttempt

OWNER = {"apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow", "name": "run-x", "uid": "1", "controller": False}
ATTEMPT = JobAttempt(Identity("team-a", run="run-1", owner=OWNER), number=2)
LABELS = {"app.kubernetes.io/managed-by": "tutelage", "tutelage.dev/run": "run-1"}
FULL_PODS: dict[str, Any] = {
    "image": "registry.example/tutelage/training:0.1.0",
    "cpu": "1500m",
    "memory": "8Gi",
    "gpus": 2,
    "service_account": "trainer",
    "image_pull_secrets": ["registry"],
    "secrets": {"AWS_SECRET_ACCESS_KEY": {"secret": "store", "key": "secret-key"}},
    "environment": {"AWS_ENDPOINT_URL": "https://s3.example"},
    "certificate_authority": {"config_map": "site-ca"},
    "node_selector": {"pool": "gpu"},
    "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists"}],
    "affinity": {"podAntiAffinity": {}},
    "annotations": {"example.com/note": "x"},
    "labels": {"team": "a"},
    "volumes": [{"name": "data", "emptyDir": {}}],
    "volume_mounts": [{"name": "data", "mountPath": "/data"}],
}


def train_job(pods: dict[str, Any] | None = None, **launch: Any) -> Job:
    """A training job of two nodes."""
    given = {"image": "tutelage/training:0.1.0"} if pods is None else pods
    return Job(
        name="train-sft-0123456789abcdef",
        program="torchrun",
        module="components.train.methods.sft",
        arguments=("--job", "s3://bucket/root/train/0123/job.json"),
        preload=True,
        launch=Launch.model_validate({"launcher": "TrainJob", "nodes": 2, "pods": given, **launch}),
    )


def ray_job(pods: dict[str, Any] | None = None, **launch: Any) -> Job:
    """A synthesis with one worker."""
    given = {"image": "tutelage/synthesis:0.1.0"} if pods is None else pods
    return Job(
        name="synthesize-0123456789abcdef",
        program="ray",
        module="components.synthesize.generate",
        arguments=("--job", "s3://bucket/root/synthesize/0123/job.json"),
        launch=Launch.model_validate({"launcher": "RayJob", "pods": given, **launch}),
    )


def variables(container: Object) -> dict[str, Any]:
    """A container's environment, by name; names must be unique."""
    entries = container["env"]
    found = {each["name"]: each.get("value", each.get("valueFrom")) for each in entries}
    assert len(found) == len(entries), "a variable is set twice"
    return found


def assert_restricted(spec: Object) -> None:
    """The requirements of the restricted Pod Security Standard, and our own beyond it."""
    security = spec["securityContext"]
    assert security["runAsNonRoot"] is True
    assert security["runAsUser"] > 0
    assert security["seccompProfile"] == {"type": "RuntimeDefault"}
    assert spec["automountServiceAccountToken"] is False
    assert not {"hostNetwork", "hostPID", "hostIPC"} & set(spec)
    for container in spec["containers"]:
        assert container["securityContext"]["allowPrivilegeEscalation"] is False
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        assert container["securityContext"]["readOnlyRootFilesystem"] is True
    allowed = {
        "configMap",
        "secret",
        "emptyDir",
        "projected",
        "persistentVolumeClaim",
        "csi",
        "downwardAPI",
        "ephemeral",
    }
    for volume in spec.get("volumes", []):
        assert set(volume) - {"name"} <= allowed
