"""A job as a PyTorchJob (kubeflow.org/v1), for clusters without Kubeflow Trainer.

All nodes are workers, and there is no master: for a master the training-operator puts an init container into every
worker, from an image of a public registry and without a security context, which the restricted Pod Security Standard
refuses. Without an elastic policy the job succeeds when every worker has succeeded. So worker 0 is the rendezvous, and
each node reads its rank from the label that the operator sets.
"""

from components.launch.api.cluster import Cluster
from components.launch.api.resources import PYTORCHJOB, Object, Resource
from components.launch.job import Job
from components.launch.kinds.kind import (
    JobAttempt,
    Kind,
    Standing,
    condition_of,
    custom_resource,
    deadline_of,
    number_of,
    pods_of,
    resource_name,
    standing_of,
)
from components.launch.kinds.pod_template import command_of, container_of, pod_template

CONTAINER = "pytorch"
PORT = 23456
PORT_NAME = "pytorchjob-port"
REPLICA_INDEX = "training.kubeflow.org/replica-index"
PAST_DEADLINE = "longer than specified deadline"
SET_BY_OPERATOR = "PYTHONUNBUFFERED"


class PyTorchJobKind:
    """PyTorchJob."""

    @property
    def resource(self) -> Resource:
        """Its place in the API."""
        return PYTORCHJOB

    def as_served(self, cluster: Cluster) -> Kind:
        """The same: the training-operator serves one shape."""
        return self

    def manifest(self, job: Job, attempt: JobAttempt) -> Object:
        """The PyTorchJob; `suspend` when a queue has to admit it."""
        spec = {
            "nprocPerNode": str(job.launch.processes_per_node),
            "runPolicy": _run_policy(job),
            "pytorchReplicaSpecs": {
                "Worker": {
                    "replicas": job.launch.nodes,
                    "restartPolicy": "Never",
                    "template": pod_template(job, attempt, _container(job)),
                }
            },
        }
        return custom_resource(PYTORCHJOB, job, attempt, spec)

    def standing(self, resource: Object) -> Standing:
        """Its state, by its conditions."""
        if ended := condition_of(resource, "Succeeded"):
            return standing_of("succeeded", ended)
        if ended := condition_of(resource, "Failed"):
            return _failed(ended)
        if resource["spec"].get("runPolicy", {}).get("suspend"):
            return Standing("queued")
        return Standing("running" if condition_of(resource, "Running") else "starting")

    def stopping(self) -> Object:
        """Nothing: its operator does not touch a resource that is being deleted."""
        return {}

    def pod_selector(self, job: Job) -> str:
        """The label selector of its pods."""
        return pods_of(job)

    def is_main(self, pod: Object) -> bool:
        """Whether it is worker 0, where rank 0 runs."""
        return self.node_of(pod) == 0

    def node_of(self, pod: Object) -> int | None:
        """By the label with its index among the workers."""
        return number_of(pod["metadata"]["labels"].get(REPLICA_INDEX))


def _run_policy(job: Job) -> Object:
    return {
        # Keep pods that have ended: their logs and their status say why.
        "cleanPodPolicy": "Running",
        "backoffLimit": 0,
        "activeDeadlineSeconds": deadline_of(job),
        "ttlSecondsAfterFinished": job.launch.ttl_seconds,
        "suspend": bool(job.launch.pods.queue),
    }


def _container(job: Job) -> Object:
    container = container_of(job, CONTAINER, command_of(job))
    environment = [each for each in container["env"] if each["name"] != SET_BY_OPERATOR]
    rendezvous = [
        {"name": "PET_MASTER_ADDR", "value": f"{resource_name(job)}-worker-0"},
        {"name": "PET_MASTER_PORT", "value": str(PORT)},
        {"name": "PET_NODE_RANK", "valueFrom": {"fieldRef": {"fieldPath": f"metadata.labels['{REPLICA_INDEX}']"}}},
    ]
    return {**container, "env": environment + rendezvous, "ports": [{"name": PORT_NAME, "containerPort": PORT}]}


def _failed(condition: Object) -> Standing:
    """The operator gives every failure the same reason; only its message shows that a deadline was exceeded."""
    message = condition.get("message", "")
    reason = "DeadlineExceeded" if PAST_DEADLINE in message else condition.get("reason", "")
    return Standing("failed", reason, message)
