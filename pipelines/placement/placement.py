"""The placement: on what the tasks of a recipe run on a cluster."""

from pydantic import Field

from components.launch.job import Launch
from components.launch.kinds.pod_basics import SCRATCH
from components.launch.pods import LabelKey, LabelValue, ObjectName, PodPlacement, Quantity
from components.registry import STEPS
from components.shared.settings import Settings
from components.shared.step import Image

DEFAULT = "default"


def _shipped_images() -> str:
    """The images that ship, each with the steps that run in it."""
    by_image: dict[str, list[str]] = {}
    for step in STEPS.values():
        by_image.setdefault(step.image.reference, []).append(step.name)
    return "; ".join(f"{image} for {', '.join(steps)}" for image, steps in by_image.items())


def _needed_at_times() -> str:
    """The images that ship for backends with packages of their own."""
    return ", ".join(f"{image.value} ({image.only_here})" for image in Image if image.only_here)


def _job_names() -> str:
    """The steps that have jobs, and how tasks are named where a step has several."""
    return ", ".join(f"{step.name}, {step.name}-VARIANT" for step in STEPS.values() if step.program)


class TaskPlacement(Settings):
    """Requests and retries of one task's pod. A run on one machine ignores it."""

    cpu: Quantity = Field("1", description="CPU request: cores, or millicores with m")
    cpu_limit: Quantity | None = Field(None, description="CPU limit; left out: the request")
    memory: Quantity = Field("2Gi", description="memory request and limit")
    accelerator: str = Field("nvidia.com/gpu", description="resource name of the accelerator")
    accelerators: int = Field(0, ge=0, description="accelerators of that kind")
    scratch: Quantity = Field(
        "20Gi", description=f"maximum that the pod may write to {SCRATCH}, downloaded models included"
    )
    node_selector: dict[LabelKey, LabelValue] = Field({}, description="further labels required of the node")
    retries: int = Field(2, ge=0, description="retries after a failure: by Kubeflow, else by the step within its pod")
    retry_for_seconds: int = Field(
        7 * 24 * 3600, ge=0, description="seconds after the start in which a retry may still begin"
    )


class Placement(Settings):
    """How a recipe runs on a cluster. A run on one machine ignores it."""

    image: str = Field(
        "", description=f"image of the steps and their jobs; empty: those that ship, {_shipped_images()}"
    )
    images: dict[str, str] = Field(
        {},
        description=f"another image by step: {', '.join(STEPS)}; and in place of an image that tasks need for a "
        f"backend: {_needed_at_times()}",
    )
    service_account: ObjectName = Field(
        "", description="service account that the steps run as; empty: Kubeflow's own (pipeline-runner, default-editor)"
    )
    pods: PodPlacement = Field(
        PodPlacement(),
        description="applies to all pods. Kubeflow cannot set a priority class or pod affinity on the steps' own pods: "
        "those two apply to jobs only",
    )
    tasks: dict[str, TaskPlacement] = Field(
        {}, description=f"the steps' own pods, by step or task: {DEFAULT}, the steps, the tasks, such as evaluate-base"
    )
    jobs: dict[str, Launch] = Field(
        {}, description=f"replaces a step's `launch` on a cluster, by step or task: {_job_names()}"
    )

    def of(self, step: str, task: str = "") -> TaskPlacement:
        """The placement of a step's tasks, or of one of them."""
        return self.tasks.get(task) or self.tasks.get(step) or self.tasks.get(DEFAULT) or TaskPlacement()

    def image_of(self, step: str, needed: Image | None = None) -> str:
        """The image of a step, and of its jobs unless they name another.

        Args:
            step: its name.
            needed: the image, of those that ship, that a task of it needs for a backend; None: the step's own.
        """
        if step in self.images:
            return self.images[step]
        if needed is not None:
            return self.images.get(needed.value, needed.reference)
        return self.image or STEPS[step].image.reference
