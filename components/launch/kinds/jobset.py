"""A job as a JobSet (jobset.x-k8s.io/v1alpha2): nodes of several kinds, which a TrainJob or a PyTorchJob cannot have.

Each group of nodes is a replicated job with a Job for each node, so that JobSet's own count of Jobs is the node's rank.
torchrun's static rendezvous takes another number of processes from every node: ranks follow the nodes.
"""

from components.launch.api.cluster import Cluster
from components.launch.api.resources import JOBSET, Object, Resource
from components.launch.groups import EqualNodes
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

CONTAINER = "node"
GROUP = "group"
PORT = 29400
PORT_NAME = "rendezvous"
NODE_RANK = "jobset.sigs.k8s.io/job-global-index"
"""The label with a Job's number among all of its JobSet, in the order of the replicated jobs."""
PAST_DEADLINE = "FailJobSetFailurePolicyAction"
"""The reason of a JobSet that failed by a rule that says FailJobSet: ours has one, for the deadline."""


class JobSetKind:
    """JobSet."""

    @property
    def resource(self) -> Resource:
        """Its place in the API."""
        return JOBSET

    def as_served(self, cluster: Cluster) -> Kind:
        """The same: JobSet's controller serves one shape."""
        return self

    def manifest(self, job: Job, attempt: JobAttempt) -> Object:
        """The JobSet; `suspend` when a queue has to admit it. Raises SettingsError."""
        spec = {
            "network": {"enableDNSHostnames": True, "publishNotReadyAddresses": True},
            "successPolicy": {"operator": "All"},
            # Nothing restarts by itself: the launcher judges each failure.
            "failurePolicy": {"maxRestarts": 0, "rules": [_deadline_rule()]},
            "suspend": bool(job.launch.pods.queue),
            "ttlSecondsAfterFinished": job.launch.ttl_seconds,
            "replicatedJobs": [
                _group(job, attempt, number, nodes) for number, nodes in enumerate(job.launch.equal_nodes)
            ],
        }
        return custom_resource(JOBSET, job, attempt, spec)

    def standing(self, resource: Object) -> Standing:
        """Its state, by its conditions and by how many Jobs of each group are ready."""
        if ended := condition_of(resource, "Completed"):
            return standing_of("succeeded", ended)
        if ended := condition_of(resource, "Failed"):
            return _failed(ended)
        if resource["spec"].get("suspend"):
            return Standing("queued")
        return Standing("running" if _all_ready(resource) else "starting")

    def stopping(self) -> Object:
        """Nothing: its controller does not touch a JobSet that is being deleted."""
        return {}

    def pod_selector(self, job: Job) -> str:
        """The label selector of its pods."""
        return pods_of(job)

    def is_main(self, pod: Object) -> bool:
        """Whether it is node 0, where rank 0 runs."""
        return self.node_of(pod) == 0

    def node_of(self, pod: Object) -> int | None:
        """By the label with its Job's number."""
        return number_of(pod["metadata"]["labels"].get(NODE_RANK))


def _group(job: Job, attempt: JobAttempt, number: int, nodes: EqualNodes) -> Object:
    """The replicated job of a group: a Job with one pod for each of its nodes."""
    launch = job.launch.model_copy(update={"pods": nodes.pods})
    here = job.model_copy(update={"launch": launch})
    template = pod_template(here, attempt, _container(here, nodes))
    return {
        "name": f"{GROUP}-{number}",
        "replicas": nodes.nodes,
        "template": {
            "spec": {
                "completionMode": "Indexed",  # only pods of indexed Jobs have host names
                "completions": 1,
                "parallelism": 1,
                "backoffLimit": 0,
                "activeDeadlineSeconds": deadline_of(job),
                "template": {**template, "spec": {**template["spec"], "restartPolicy": "Never"}},
            }
        },
    }


def _container(job: Job, nodes: EqualNodes) -> Object:
    name = resource_name(job)
    rendezvous: list[Object] = [
        {"name": "PET_NNODES", "value": str(sum(each.nodes for each in job.launch.equal_nodes))},
        {"name": "PET_NPROC_PER_NODE", "value": str(nodes.processes_per_node)},
        {"name": "PET_NODE_RANK", "valueFrom": {"fieldRef": {"fieldPath": f"metadata.labels['{NODE_RANK}']"}}},
        # The first pod of the first group, by the headless service that JobSet makes under its own name.
        {"name": "PET_MASTER_ADDR", "value": f"{name}-{GROUP}-0-0-0.{name}"},
        {"name": "PET_MASTER_PORT", "value": str(PORT)},
    ]
    container = container_of(job, CONTAINER, command_of(job))
    ports = [{"name": PORT_NAME, "containerPort": PORT}]
    return {**container, "env": [*container["env"], *rendezvous], "ports": ports}


def _deadline_rule() -> Object:
    return {"name": "deadline", "action": "FailJobSet", "onJobFailureReasons": ["DeadlineExceeded"]}


def _all_ready(resource: Object) -> bool:
    """Whether every node's pod is ready or has succeeded: a training begins with all of its ranks."""
    found = {each["name"]: each for each in resource.get("status", {}).get("replicatedJobsStatus") or []}
    groups = resource["spec"]["replicatedJobs"]
    there = [found.get(each["name"], {}) for each in groups]
    return all(
        one.get("ready", 0) + one.get("succeeded", 0) >= group.get("replicas", 1)
        for one, group in zip(there, groups, strict=True)
    )


def _failed(condition: Object) -> Standing:
    reason = condition.get("reason", "")
    return Standing("failed", "DeadlineExceeded" if reason == PAST_DEADLINE else reason, condition.get("message", ""))
