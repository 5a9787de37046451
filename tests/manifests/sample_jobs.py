"""The jobs whose manifests are the samples in `k8s/samples`, and those manifests as the launchers make them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.launch.api.resources import Object
from components.launch.follow.annotations import annotated
from components.launch.job import Job, Launch
from components.launch.kinds.jobset import JobSetKind
from components.launch.kinds.kind import Identity, JobAttempt, Kind
from components.launch.kinds.pod_template import PYTHON, container_of, pod_spec
from components.launch.kinds.pytorchjob import PyTorchJobKind
from components.launch.kinds.rayjob import RayJobKind
from components.launch.kinds.served_schema import ServedTrainJob
from components.launch.kinds.trainjob import TrainJobKind
from components.train.train import PROGRAM

SAMPLES = Path(__file__).parents[2] / "k8s" / "samples"
ROOT = "s3://tutelage/samples"
"""Where the samples find what `fill_store.py` writes."""

TRAINER_2_3 = TrainJobKind(ServedTrainJob("runtimePatches", deadline=True))
TRAINER_2_1 = TrainJobKind(ServedTrainJob("podTemplateOverrides", deadline=False))
PODS: dict[str, Any] = {
    "image": "tutelage/train:0.1.0",
    "cpu": "500m",
    "memory": "3Gi",
    "scratch": "5Gi",
    "environment": {"AWS_ENDPOINT_URL": "https://s3.tutelage-storage.svc:7070", "AWS_REGION": "us-east-1"},
    "secrets": {
        "AWS_ACCESS_KEY_ID": {"secret": "tutelage-s3", "key": "access-key"},
        "AWS_SECRET_ACCESS_KEY": {"secret": "tutelage-s3", "key": "secret-key"},
    },
    "certificate_authority": {"config_map": "tutelage-ca"},
}
"""The pods of all samples; the names are those that k8s/kind makes."""

EIGHT_GPUS: dict[str, Any] = {
    **PODS,
    "cpu": "64",
    "memory": "256Gi",
    "scratch": "200Gi",
    "gpus": 8,
    "queue": "tutelage",
}


@dataclass(frozen=True)
class SampleJob:
    """One job and the kind of resource that it is shown as."""

    kind: Kind
    job: Job

    @property
    def manifest(self) -> Object:
        """The object that a launcher creates, without the namespace, which `kubectl -n` sets."""
        attempt = JobAttempt(Identity(namespace=""))
        made = annotated(self.kind.manifest(self.job, attempt), self.job, attempt)
        del made["metadata"]["namespace"]
        return made


def training(name: str, address: str, **launch: Any) -> Job:
    """A training as the train step starts it."""
    return Job(
        name=name,
        program="torchrun",
        module=PROGRAM,
        arguments=("--job", f"{ROOT}/{address}/job.json"),
        preload=True,
        launch=Launch.model_validate({"launcher": "TrainJob", "pods": PODS, **launch}),
    )


SYNTHESIS = Job(
    name="sample-synthesize",
    program="ray",
    module="components.synthesize.generate",
    arguments=("--job", f"{ROOT}/synthesize/sample/job.json"),
    launch=Launch.model_validate({"launcher": "RayJob", "pods": {**PODS, "image": "tutelage/ray:0.1.0"}}),
)
SFT = training("sample-sft-zero2", "train/sft-zero2", nodes=2)
KTO = training("sample-kto-zero3", "train/kto-zero3", nodes=2)
ON_GPUS = training(
    *("sample-kto-8gpu", "train/kto-8gpu"),
    processes_per_node=8,
    cpus_per_process=8,
    training_runtime="tutelage-gpu",
    pods=EIGHT_GPUS,
)
GROUPS = training(
    *("sample-sft-groups", "train/sft-groups"),
    launcher="JobSet",
    groups=[
        {"nodes": 1, "accelerator": "CPU", "memory": "3Gi", "speed": 2000, "pods": {"cpu_limit": "2"}},
        {"nodes": 1, "accelerator": "CPU", "memory": "3Gi", "speed": 1000, "pods": {"cpu_limit": "1"}},
    ],
)
WORKERS = training("sample-sft-pytorchjob", "train/sft-pytorchjob", launcher="PyTorchJob", nodes=2)

JOBS: dict[str, SampleJob] = {
    "rayjob.yaml": SampleJob(RayJobKind(), SYNTHESIS),
    "trainjob-sft-zero2.yaml": SampleJob(TRAINER_2_3, SFT),
    "trainjob-kto-zero3.yaml": SampleJob(TRAINER_2_3, KTO),
    "trainjob-kto-8gpu.yaml": SampleJob(TRAINER_2_3, ON_GPUS),
    "trainjob-trainer-2.1.yaml": SampleJob(TRAINER_2_1, SFT),
    "pytorchjob.yaml": SampleJob(PyTorchJobKind(), WORKERS),
    "jobset-sft-groups.yaml": SampleJob(JobSetKind(), GROUPS),
}
"""Jobs by the sample's file."""


def fill_store() -> Object:
    """The Job that runs `fill_store.py`, in a pod like all others."""
    name, folder = "sample-fill-store", "/samples"
    pods = {
        **PODS,
        "image": "tutelage/launcher:0.1.0",
        "cpu": "100m",
        "memory": "512Mi",
        "volumes": [{"name": "program", "configMap": {"name": name}}],
        "volume_mounts": [{"name": "program", "mountPath": folder, "readOnly": True}],
    }
    job = Job(name=name, program="ray", module="", launch=Launch.model_validate({"pods": pods}))
    container = container_of(job, "fill-store", [PYTHON, f"{folder}/fill_store.py", ROOT])
    spec = {"restartPolicy": "Never", **pod_spec(job.launch.pods, container)}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "labels": {"app.kubernetes.io/name": "tutelage"}},
        "spec": {"backoffLimit": 2, "ttlSecondsAfterFinished": 3600, "template": {"spec": spec}},
    }


def samples() -> dict[str, Object]:
    """All manifests that are made here, by file."""
    return {name: sample.manifest for name, sample in JOBS.items()} | {"fill-store/job.yaml": fill_store()}
