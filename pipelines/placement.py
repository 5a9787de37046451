"""On which hardware each task runs: the one place that puts resources, retries and the like on tasks."""

from typing import Any

from pydantic import Field

from components.shared.settings import Settings

DEFAULT = "default"
KINDS = ("collect", "curate", "synthesize", "select", "train", "merge", "evaluate", "publish")


class TaskPlacement(Settings):
    """What one task's pod asks of the cluster. A run on one machine ignores it."""

    cpu: str = Field("1", pattern=r"^\d+(\.\d+)?m?$", description="CPU request and limit: cores, or millicores with m")
    memory: str = Field("2Gi", pattern=r"^\d+(\.\d+)?([KMGT]i?)?$", description="memory request and limit")
    accelerator: str = Field("nvidia.com/gpu", description="resource name of the accelerator")
    accelerators: int = Field(0, ge=0, description="accelerators of that kind")
    node_selector: dict[str, str] = Field({}, description="labels that the node must have")
    retries: int = Field(2, ge=0, description="tries after a failure")
    retry_for_seconds: int = Field(7 * 24 * 3600, ge=0, description="longest time after which a retry still happens")


class Placement(Settings):
    """Placement by kind of step; `default` holds for those not named."""

    image: str = Field("tutelage/launcher:0.1.0", description="image of the component pods")
    tasks: dict[str, TaskPlacement] = Field({}, description=f"by step: {', '.join((DEFAULT, *KINDS))}")

    def of(self, step: str) -> TaskPlacement:
        """The placement of a step's tasks."""
        return self.tasks.get(step) or self.tasks.get(DEFAULT) or TaskPlacement()


def place(task: Any, step: str, placement: Placement) -> None:
    """Put a step's placement on a kfp task.

    Kubeflow's caching is off: an output's address already answers whether the work is done, and unlike a cached
    task it notices when the bytes are gone. `backoff_max_duration` counts the attempt's own running time, so it is
    set to the longest time after which a retry is wanted (kfp's default of an hour would deny retries to long tasks).
    """
    wanted = placement.of(step)
    task.set_container_image(placement.image)
    task.set_caching_options(False)
    task.set_cpu_request(wanted.cpu).set_cpu_limit(wanted.cpu)
    task.set_memory_request(wanted.memory).set_memory_limit(wanted.memory)
    if wanted.accelerators:
        task.set_accelerator_type(wanted.accelerator).set_accelerator_limit(wanted.accelerators)
    if wanted.retries:
        task.set_retry(
            wanted.retries,
            backoff_duration="30s",
            backoff_factor=2,
            backoff_max_duration=f"{wanted.retry_for_seconds}s",
        )
    if wanted.node_selector:
        from kfp import kubernetes

        for name, value in sorted(wanted.node_selector.items()):
            kubernetes.add_node_selector(task, name, value)
