"""The images of tasks: which one each runs in, and whether it has what the backends in the task's settings need."""

from collections.abc import Iterator, Sequence
from importlib.util import find_spec

from components.launch.job import Launch
from components.registry import STEPS
from components.shared.errors import SettingsError, naming_step
from components.shared.step import Image
from pipelines.placement.move_tasks import launch_of
from pipelines.placement.placement import Placement
from pipelines.placement.task import Fault, Task

SHIPPED = frozenset(image.reference for image in Image)


def images_of_steps(placement: Placement, tasks: Sequence[Task] = ()) -> dict[str, set[str]]:
    """The images of the steps' own pods, each with the packages that tasks choose it for.

    Args:
        placement: of the recipe.
        tasks: of the recipe, with the launches that the placement sets. A step without any counts with the image that
            it has where its settings need no other.
    """
    present = {task.step.name for task in tasks}
    found: dict[str, set[str]] = {placement.image_of(step): set() for step in STEPS if step not in present}
    for task in tasks:
        needed = task.image_needed_by_pod
        found.setdefault(placement.image_of(task.step.name, needed), set()).update(_packages(needed))
    return found


def images_of_jobs(tasks: Sequence[Task]) -> dict[str, set[str]]:
    """The images of jobs, each with the packages that tasks choose it for.

    Args:
        tasks: of the recipe, with the launches that the placement sets.
    """
    found: dict[str, set[str]] = {}
    for task in tasks:
        if task.launch is not None and task.launch.on_cluster:
            found.setdefault(task.launch.pods.image, set()).update(_packages(task.image_needed))
    return found


def find_image_faults(placement: Placement, tasks: Sequence[Task]) -> Iterator[Fault]:
    """Tasks whose backend needs an image that the placement does not name, or a GPU that it does not request.

    An image that `images` names for a step, or `jobs` for a job, is taken at its word, unless its name is that of an
    image that ships without the package; doctor tries it on the cluster.
    """
    for task in tasks:
        if (needed := task.image_needed) is None:
            continue
        launch = launch_of(placement, task) if task.step.program else None
        if launch is not None and launch.on_cluster:
            yield from _job_faults(placement, task, launch, needed)
        elif task.step.name not in placement.images:
            if _is_unnamed(placement, placement.image_of(task.step.name, needed), needed):
                yield Fault(("placement", "images"), _unnamed(task, needed, placement.image))
            if not placement.of(task.step.name, task.name).accelerators:
                yield Fault(("placement", "tasks"), _without_gpu(task, needed))


def _job_faults(placement: Placement, task: Task, launch: Launch, needed: Image) -> Iterator[Fault]:
    image = launch.pods.image
    if _is_unnamed(placement, image, needed):
        yield Fault(("placement", "images"), _unnamed(task, needed, placement.image))
    elif (shipped := Image.shipped_as(image)) is not None and shipped.only_here != needed.only_here:
        yield Fault(("placement", "jobs"), _other_image(task, needed, image))
    # Ray's actors have requests of their own.
    on_all = task.step.program == "torchrun" and image == placement.images.get(needed.value, needed.reference)
    if on_all and not all(equal.pods.gpus for equal in launch.equal_nodes):
        yield Fault(("placement", "jobs"), _job_without_gpu(task, needed))


def _is_unnamed(placement: Placement, image: str, needed: Image) -> bool:
    """Whether an image is the shipped one only because a site that has copies of images names no copy of it."""
    copies = placement.image not in {"", *SHIPPED}
    return image == needed.reference and copies and needed.value not in placement.images


def packages_missing_here(tasks: Sequence[Task]) -> dict[str, list[str]]:
    """Packages of backends that are not installed on this machine, each with the tasks that need it here."""
    found: dict[str, list[str]] = {}
    for task in tasks:
        for package in _packages(task.image_needed_by_pod):
            if find_spec(package) is None:
                found.setdefault(package, []).append(task.name)
    return found


def require_packages_here(tasks: Sequence[Task]) -> None:
    """Raises SettingsError where a task lacks what it needs of this machine: before a run, not hours into it."""
    for task in tasks:
        if task.settings is not None and not task.starts_on_cluster:
            with naming_step(task.name):
                task.step.check_machine(task.settings)
    for package, names in packages_missing_here(tasks).items():
        raise SettingsError(
            f"{', '.join(names)}: the package {package} is not installed in this environment",
            rule="on one machine, a backend needs its package in the environment that runs tutelage",
            remedy=INSTALL_REMEDY,
        )


INSTALL_REMEDY = (
    "use backend 'transformers', or serve the models from an environment that has the package "
    "(components/evaluate/README.md, vLLM on one machine)"
)


def _packages(image: Image | None) -> set[str]:
    return {image.only_here} if image is not None else set()


def _unnamed(task: Task, needed: Image, image: str) -> str:
    return (
        f"{task.name} needs an image with the package {needed.only_here}, and image {image!r} is that of all steps"
        f"\n    remedy: images: {{{needed.value}: IMAGE}}, a copy of {needed.reference}; "
        f"or, if {image!r} has the package, images: {{{task.step.name}: {image!r}}}"
    )


def _other_image(task: Task, needed: Image, image: str) -> str:
    return (
        f"{task.name} needs an image with the package {needed.only_here}, and its job's is {image!r}, which lacks it"
        f"\n    remedy: images: {{{needed.value}: IMAGE}}, a copy of {needed.reference}, or that image in "
        f"jobs.{task.step.name}.pods"
    )


def _job_without_gpu(task: Task, needed: Image) -> str:
    return (
        f"{task.name} needs a GPU for {needed.only_here}, and its job requests none"
        f"\n    remedy: gpus: 1 or more in jobs.{task.step.name}.pods; or, for a build of {needed.only_here} for CPUs, "
        "its own image there"
    )


def _without_gpu(task: Task, needed: Image) -> str:
    return (
        f"{task.name} needs a GPU for {needed.only_here}, and requests none"
        f"\n    remedy: accelerators: 1 in tasks.{task.step.name}; or, for a build of {needed.only_here} for CPUs, "
        f"images: {{{task.step.name}: IMAGE}}"
    )
