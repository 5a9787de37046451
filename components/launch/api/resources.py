"""The kinds of objects of the Kubernetes API that launching uses, and the rights that a step needs on each.

This is the only table of them: `components/launch/registry.py` names the custom resource of each launcher, and the
checks of `tutelage doctor`, the clean-up step and the shipped Role follow from there.
"""

from dataclasses import dataclass
from typing import Any

Object = dict[str, Any]
"""An object as the API server gives it."""

JOB_VERBS = ("create", "delete", "get", "list", "patch", "watch")


@dataclass(frozen=True)
class Resource:
    """One kind of object.

    Args:
        group: the API group; empty for the core group.
        version: of the group.
        plural: the name in paths and in rules of RBAC; a subresource follows a slash.
        kind: the name in manifests.
        operator: what serves a custom resource.
        verbs: the rights that a step's service account needs in the namespace of its jobs.
    """

    group: str
    version: str
    plural: str
    kind: str
    operator: str = ""
    verbs: tuple[str, ...] = ()

    @property
    def api_version(self) -> str:
        """GROUP/VERSION, or VERSION for the core group."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def name(self) -> str:
        """PLURAL.GROUP, as kubectl writes it."""
        return f"{self.plural}.{self.group}" if self.group else self.plural


RAYJOB = Resource("ray.io", "v1", "rayjobs", "RayJob", "KubeRay's operator", JOB_VERBS)
TRAINJOB = Resource("trainer.kubeflow.org", "v1alpha1", "trainjobs", "TrainJob", "Kubeflow Trainer", JOB_VERBS)
PYTORCHJOB = Resource("kubeflow.org", "v1", "pytorchjobs", "PyTorchJob", "Kubeflow's training-operator", JOB_VERBS)
JOBSET = Resource("jobset.x-k8s.io", "v1alpha2", "jobsets", "JobSet", "JobSet's controller", JOB_VERBS)
TRAINING_RUNTIME = Resource(
    "trainer.kubeflow.org", "v1alpha1", "trainingruntimes", "TrainingRuntime", "Kubeflow Trainer"
)

PODS = Resource("", "v1", "pods", "Pod", verbs=("get", "list", "watch"))
LOGS = Resource("", "v1", "pods/log", "Log", verbs=("get",))
EVENTS = Resource("", "v1", "events", "Event", verbs=("list",))
