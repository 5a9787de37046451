"""Small objects of Kubernetes and of each operator, as a user would write them."""

from typing import Any

Object = dict[str, Any]

PAUSE = "localhost/tutelage-node/pause:1"
"""An image that every node of `make cluster-up` has: its program waits for a signal."""

SECURITY = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
POD_SECURITY = {"runAsNonRoot": True, "runAsUser": 1000, "seccompProfile": {"type": "RuntimeDefault"}}


def container(name: str = "main", image: str = PAUSE) -> Object:
    """A container that passes the restricted standard."""
    requests = {"requests": {"cpu": "10m", "memory": "16Mi"}, "limits": {"memory": "64Mi"}}
    return {"name": name, "image": image, "securityContext": dict(SECURITY), "resources": requests}


def pod_spec(name: str = "main", image: str = PAUSE) -> Object:
    """A pod of one container, never restarted."""
    return {
        "containers": [container(name, image)],
        "securityContext": dict(POD_SECURITY),
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "terminationGracePeriodSeconds": 1,
    }


def pod(name: str, image: str = PAUSE) -> Object:
    """A pod."""
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": pod_spec(image=image)}


def rayjob(name: str) -> Object:
    """A head and a worker."""
    group = {"groupName": "worker", "replicas": 1, "minReplicas": 1, "maxReplicas": 1, "rayStartParams": {}}
    cluster = {
        "rayVersion": "2.60.0",
        "headGroupSpec": {"rayStartParams": {}, "template": {"spec": pod_spec("head")}},
        "workerGroupSpecs": [{**group, "template": {"spec": pod_spec("worker")}}],
    }
    spec = {"entrypoint": "true", "shutdownAfterJobFinishes": True, "rayClusterSpec": cluster}
    return {"apiVersion": "ray.io/v1", "kind": "RayJob", "metadata": {"name": name}, "spec": spec}


def trainjob(name: str, runtime: str, image: str = PAUSE) -> Object:
    """Two nodes of a TrainingRuntime of the namespace."""
    reference = {"apiGroup": "trainer.kubeflow.org", "kind": "TrainingRuntime", "name": runtime}
    spec = {"runtimeRef": reference, "trainer": {"numNodes": 2, "image": image}}
    return {"apiVersion": "trainer.kubeflow.org/v1alpha1", "kind": "TrainJob", "metadata": {"name": name}, "spec": spec}


def training_runtime(name: str) -> Object:
    """A runtime for torch whose pods pass the restricted standard."""
    ancestor = {"trainer.kubeflow.org/trainjob-ancestor-step": "trainer"}
    job = {"metadata": {"labels": ancestor}, "spec": {"backoffLimit": 0, "template": {"spec": pod_spec("node")}}}
    return {
        "apiVersion": "trainer.kubeflow.org/v1alpha1",
        "kind": "TrainingRuntime",
        "metadata": {"name": name, "labels": {"trainer.kubeflow.org/framework": "torch"}},
        "spec": {
            "mlPolicy": {"numNodes": 1, "torch": {}},
            "template": {"spec": {"replicatedJobs": [{"name": "node", "template": job}]}},
        },
    }


def pytorchjob(name: str) -> Object:
    """Two workers and no master: with one, the operator would add an init container from a public registry."""
    replica = {"replicas": 2, "restartPolicy": "Never", "template": {"spec": pod_spec("pytorch")}}
    spec = {"pytorchReplicaSpecs": {"Worker": replica}}
    return {"apiVersion": "kubeflow.org/v1", "kind": "PyTorchJob", "metadata": {"name": name}, "spec": spec}


def extended_pod(name: str, resource: str, priority_class: str) -> Object:
    """A pod that requests one unit of an extended resource of the node."""
    made = pod(name)
    made["spec"]["priorityClassName"] = priority_class
    resources = made["spec"]["containers"][0]["resources"]
    for kind in ("requests", "limits"):
        resources[kind] = {**resources[kind], resource: "1"}
    return made


def priority_class(name: str, value: int) -> Object:
    """A PriorityClass."""
    return {
        "apiVersion": "scheduling.k8s.io/v1",
        "kind": "PriorityClass",
        "metadata": {"name": name},
        "value": value,
        "description": "of a test",
    }


def resource_flavor(name: str) -> Object:
    """Kueue's name for a group of nodes."""
    return {"apiVersion": "kueue.x-k8s.io/v1beta2", "kind": "ResourceFlavor", "metadata": {"name": name}}


def cluster_queue(name: str, flavor: str) -> Object:
    """Kueue's queue of all namespaces, with more quota than the tests need."""
    quota = [{"name": "cpu", "nominalQuota": "8"}, {"name": "memory", "nominalQuota": "64Gi"}]
    group = {"coveredResources": ["cpu", "memory"], "flavors": [{"name": flavor, "resources": quota}]}
    return {
        "apiVersion": "kueue.x-k8s.io/v1beta2",
        "kind": "ClusterQueue",
        "metadata": {"name": name},
        "spec": {"namespaceSelector": {}, "resourceGroups": [group]},
    }


def queue_priority(name: str, value: int) -> Object:
    """Kueue's priority of workloads in their queues."""
    meta = {"name": name}
    return {"apiVersion": "kueue.x-k8s.io/v1beta2", "kind": "WorkloadPriorityClass", "metadata": meta, "value": value}


def local_queue(name: str, cluster_queue: str) -> Object:
    """Kueue's queue of one namespace."""
    return {
        "apiVersion": "kueue.x-k8s.io/v1beta2",
        "kind": "LocalQueue",
        "metadata": {"name": name},
        "spec": {"clusterQueue": cluster_queue},
    }
