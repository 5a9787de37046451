"""What a step's service account may do in the namespace of its jobs, and no more: what `k8s/base/role.yaml` grants."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Right:
    """Verbs on one kind of resource."""

    group: str
    resource: str
    verbs: tuple[str, ...]

    @property
    def name(self) -> str:
        """RESOURCE.GROUP, as kubectl writes it."""
        return f"{self.resource}.{self.group}" if self.group else self.resource


JOB_VERBS = ("create", "delete", "get", "list", "patch", "watch")
RIGHTS = (
    Right("ray.io", "rayjobs", JOB_VERBS),
    Right("trainer.kubeflow.org", "trainjobs", JOB_VERBS),
    Right("kubeflow.org", "pytorchjobs", JOB_VERBS),
    Right("", "pods", ("get", "list", "watch")),
    Right("", "pods/log", ("get",)),
    Right("", "events", ("list",)),
)
