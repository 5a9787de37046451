"""A job as a TrainJob (trainer.kubeflow.org/v1alpha1) of Kubeflow Trainer 2.1 or later.

A TrainJob refers to a TrainingRuntime of the namespace (k8s/base/trainingruntime.yaml) and changes some of it: image,
command, environment, resources, volumes and placement. What it cannot change is set in the runtime.
"""

from dataclasses import dataclass

from components.launch.api.cluster import Cluster
from components.launch.api.resources import TRAINJOB, Object, Resource
from components.launch.job import RUNTIME_FIELDS, SHIPPED_RUNTIME, Job
from components.launch.kinds.kind import (
    JobAttempt,
    Kind,
    Standing,
    condition_of,
    custom_resource,
    deadline_of,
    labels_of,
    number_of,
    pods_of,
    standing_of,
)
from components.launch.kinds.pod_template import (
    command_of,
    environment_of,
    image_of,
    mounts_of,
    placement_of,
    pod_metadata,
    pod_security,
    resources_of,
    volumes_of,
)
from components.launch.kinds.served_schema import ServedTrainJob, served_trainjob
from components.launch.pods import PodPlacement, Pods
from components.shared.errors import SettingsError

TRAINER_2_2 = ServedTrainJob("runtimePatches", deadline=True)
NODE = "node"
"""The runtime's replicated job, and its container."""
MANAGER = "tutelage.dev/launcher"
REPLICATED_JOB = "jobset.sigs.k8s.io/replicatedjob-name"
COMPLETION_INDEX = "batch.kubernetes.io/job-completion-index"


@dataclass(frozen=True)
class TrainJobKind:
    """TrainJob, in the shape that a cluster serves: that of Trainer 2.2 and later unless `as_served` says otherwise."""

    served: ServedTrainJob = TRAINER_2_2

    @property
    def resource(self) -> Resource:
        """Its place in the API."""
        return TRAINJOB

    def as_served(self, cluster: Cluster) -> Kind | None:
        """In the shape that the cluster's OpenAPI document shows; None when it shows no TrainJob that we know."""
        document = cluster.openapi(TRAINJOB)
        served = served_trainjob(document) if document else None
        return TrainJobKind(served) if served else None

    def manifest(self, job: Job, attempt: JobAttempt) -> Object:
        """The TrainJob; `suspend` when a queue has to admit it.

        Raises:
            SettingsError: the settings need a runtime of the user's own, and name the one that ships with Tutelage.
        """
        _refuse_fields_of_the_runtime(job, self.served)
        spec: Object = {
            "runtimeRef": {"apiGroup": TRAINJOB.group, "kind": "TrainingRuntime", "name": job.launch.training_runtime},
            "trainer": _trainer(job),
            "suspend": bool(job.launch.pods.queue),
            **({"activeDeadlineSeconds": deadline_of(job)} if self.served.deadline else {}),
            **(_patches(job, attempt) if self.served.overrides == "runtimePatches" else _overrides(job, attempt)),
        }
        return custom_resource(TRAINJOB, job, attempt, spec)

    def standing(self, resource: Object) -> Standing:
        """Its state, by its conditions and by how many of its jobs have all their pods ready."""
        if ended := condition_of(resource, "Complete"):
            return standing_of("succeeded", ended)
        if ended := condition_of(resource, "Failed"):
            return standing_of("failed", ended)
        if resource["spec"].get("suspend"):
            return Standing("queued")
        jobs = resource.get("status", {}).get("jobsStatus") or []
        return Standing("running" if any(each.get("ready") for each in jobs) else "starting")

    def stopping(self) -> Object:
        """Suspend it: Kubeflow Trainer (2.1 and 2.3) recreates the JobSet while the TrainJob is being deleted.

        Its pods would have the names of the next attempt's, whose processes could join one of them.
        """
        return {"suspend": True}

    def pod_selector(self, job: Job) -> str:
        """The label selector of its pods."""
        return pods_of(job)

    def is_main(self, pod: Object) -> bool:
        """Whether it is node 0, where rank 0 runs."""
        return self.node_of(pod) == 0

    def node_of(self, pod: Object) -> int | None:
        """By its index in the runtime's replicated job of nodes."""
        meta = pod["metadata"]
        if meta["labels"].get(REPLICATED_JOB) != NODE:
            return None
        return number_of((meta.get("annotations") or {}).get(COMPLETION_INDEX))


def _trainer(job: Job) -> Object:
    return {
        "image": image_of(job),
        "command": command_of(job),
        "env": environment_of(job),
        "numNodes": job.launch.nodes,
        "numProcPerNode": job.launch.processes_per_node,
        "resourcesPerNode": resources_of(job.launch.pods),
    }


def _patches(job: Job, attempt: JobAttempt) -> Object:
    """Trainer 2.2 and later."""
    pods = job.launch.pods
    template = {
        "metadata": pod_metadata(job, attempt),
        "spec": {**_pod_changes(pods), "securityContext": pod_security(pods.user)},
    }
    patched = {
        "metadata": {"labels": labels_of(job, attempt)},
        "spec": {"replicatedJobs": [{"name": NODE, "template": {"spec": {"template": template}}}]},
    }
    return {"runtimePatches": [{"manager": MANAGER, "trainingRuntimeSpec": {"template": patched}}]}


def _overrides(job: Job, attempt: JobAttempt) -> Object:
    """Trainer 2.1."""
    changed = {
        "targetJobs": [{"name": NODE}],
        "metadata": pod_metadata(job, attempt),
        "spec": _pod_changes(job.launch.pods),
    }
    return {"labels": labels_of(job, attempt), "podTemplateOverrides": [changed]}


def _pod_changes(pods: Pods) -> Object:
    """The fields of a pod that both shapes can change."""
    return {
        **placement_of(pods),
        "volumes": volumes_of(pods),
        "containers": [{"name": NODE, "volumeMounts": mounts_of(pods)}],
    }


def _refuse_fields_of_the_runtime(job: Job, served: ServedTrainJob) -> None:
    """Refuse settings that would be ignored silently; a runtime of the user's own is trusted to set them."""
    fields = [*RUNTIME_FIELDS, *(["user"] if served.overrides == "podTemplateOverrides" else [])]
    for field in fields:
        value = getattr(job.launch.pods, field)
        if value != PodPlacement.model_fields[field].default and job.launch.training_runtime == SHIPPED_RUNTIME:
            raise SettingsError(
                f"pods.{field} {value!r} cannot be set in a TrainJob",
                rule="a TrainJob takes it from the TrainingRuntime that it refers to",
                remedy=f"copy TrainingRuntime {SHIPPED_RUNTIME}, set it there, and name the copy in "
                "launch.training_runtime",
            )
