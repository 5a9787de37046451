"""A job as a TrainJob (trainer.kubeflow.org/v1alpha1) of Kubeflow Trainer 2.1 or later.

A TrainJob refers to a TrainingRuntime of the namespace (k8s/base/trainingruntime.yaml) and changes some of it: image,
command, environment, resources, volumes and placement. What it cannot change stands in the runtime.
"""

from dataclasses import dataclass

from components.launch.clock import Clock
from components.launch.job import RUNTIME_FIELDS, SHIPPED_RUNTIME, Job
from components.launch.kind import (
    Attempt,
    Object,
    Resource,
    Standing,
    condition_of,
    deadline_of,
    labels_of,
    metadata_of,
    pods_of,
)
from components.launch.pod_template import (
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
from components.launch.pods import PodPlacement, Pods
from components.launch.pytorchjob import run_as_pytorchjob
from components.launch.run_on_cluster import run_on_cluster
from components.launch.served_schema import OVERRIDES, TRAINJOB, ServedTrainJob, read_served_trainjob
from components.shared.errors import SettingsError
from components.shared.log import say

NODE = "node"
"""The runtime's replicated job, and its container."""
MANAGER = "tutelage.dev/launcher"
REPLICATED_JOB = "jobset.sigs.k8s.io/replicatedjob-name"
COMPLETION_INDEX = "batch.kubernetes.io/job-completion-index"


@dataclass(frozen=True)
class TrainJobKind:
    """TrainJob, in the shape that the cluster serves."""

    served: ServedTrainJob

    @property
    def resource(self) -> Resource:
        """Where it lies in the API."""
        return TRAINJOB

    def manifest(self, job: Job, attempt: Attempt) -> Object:
        """The TrainJob; `suspend` when a queue has to admit it.

        Raises:
            SettingsError: the settings ask for what only a runtime can say, and name the one that ships with Tutelage.
        """
        _refuse_what_the_runtime_says(job, self.served)
        spec: Object = {
            "runtimeRef": {"apiGroup": TRAINJOB.group, "kind": "TrainingRuntime", "name": job.launch.training_runtime},
            "trainer": _trainer(job),
            "suspend": bool(job.launch.pods.queue),
            **({"activeDeadlineSeconds": deadline_of(job)} if self.served.deadline else {}),
            **(_patches(job, attempt) if self.served.overrides == "runtimePatches" else _overrides(job, attempt)),
        }
        return {
            "apiVersion": TRAINJOB.api_version,
            "kind": TRAINJOB.kind,
            "metadata": metadata_of(job, attempt),
            "spec": spec,
        }

    def standing(self, resource: Object) -> Standing:
        """How far it is, by its conditions and by how many of its jobs have all their pods ready."""
        if ended := condition_of(resource, "Complete"):
            return Standing("succeeded", ended.get("reason", ""), ended.get("message", ""))
        if ended := condition_of(resource, "Failed"):
            return Standing("failed", ended.get("reason", ""), ended.get("message", ""))
        if resource["spec"].get("suspend"):
            return Standing("queued")
        jobs = resource.get("status", {}).get("jobsStatus") or []
        return Standing("running" if any(each.get("ready") for each in jobs) else "starting")

    def stopping(self) -> Object:
        """Suspended: Kubeflow Trainer (2.1 and 2.3) makes the JobSet anew while the TrainJob is being deleted.

        Its pods would have the names of the next start's, and a process of that could join one of them.
        """
        return {"suspend": True}

    def pod_selector(self, job: Job) -> str:
        """The label selector of its pods."""
        return pods_of(job)

    def is_main(self, pod: Object) -> bool:
        """Whether it is node 0, where rank 0 runs."""
        meta = pod["metadata"]
        return meta["labels"].get(REPLICATED_JOB) == NODE and meta["annotations"].get(COMPLETION_INDEX) == "0"


def run_as_trainjob(job: Job) -> None:
    """Run a job as a TrainJob; as a PyTorchJob where no TrainJob is served. Raises JobError when it ends badly."""
    served = read_served_trainjob(Clock())
    if served is None:
        say("launch", f"this cluster serves no {TRAINJOB.kind} with {' or '.join(OVERRIDES)}: running a PyTorchJob")
        run_as_pytorchjob(job)
        return
    run_on_cluster(TrainJobKind(served), job)


def _trainer(job: Job) -> Object:
    return {
        "image": image_of(job),
        "command": command_of(job),
        "env": environment_of(job),
        "numNodes": job.launch.nodes,
        "numProcPerNode": job.launch.processes_per_node,
        "resourcesPerNode": resources_of(job.launch.pods),
    }


def _patches(job: Job, attempt: Attempt) -> Object:
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


def _overrides(job: Job, attempt: Attempt) -> Object:
    """Trainer 2.1."""
    changed = {
        "targetJobs": [{"name": NODE}],
        "metadata": pod_metadata(job, attempt),
        "spec": _pod_changes(job.launch.pods),
    }
    return {"labels": labels_of(job, attempt), "podTemplateOverrides": [changed]}


def _pod_changes(pods: Pods) -> Object:
    """What both shapes can change of a pod."""
    return {
        **placement_of(pods),
        "volumes": volumes_of(pods),
        "containers": [{"name": NODE, "volumeMounts": mounts_of(pods)}],
    }


def _refuse_what_the_runtime_says(job: Job, served: ServedTrainJob) -> None:
    """Refuse settings that would be lost without a word; another runtime than ours is trusted to say them."""
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
