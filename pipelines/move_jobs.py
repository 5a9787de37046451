"""Moves the jobs of a recipe to where its placement wants them, which is what compiling for a cluster does."""

from components.launch.job import Launch
from components.launch.pods import Pods
from components.train.deepspeed_config import with_config_read
from components.train.settings import TrainSettings
from pipelines.placement import Placement
from pipelines.recipe import Recipe, Training


def move_jobs(recipe: Recipe) -> Recipe:
    """The recipe with every job's launch as its placement says, and nothing left that is a path of this machine's.

    Raises:
        SettingsError: a DeepSpeed configuration that it names cannot be read.
        pydantic.ValidationError: a step's settings do not fit the launch (`check_placement` says it with the line).
    """
    placement = recipe.placement
    synthesize = recipe.synthesize.model_copy(
        update={"launch": launch_of(placement, "synthesize", "synthesize", recipe.synthesize.launch)}
    )
    train = {name: _moved(placement, name, training) for name, training in recipe.train.items()}
    return recipe.model_copy(update={"synthesize": synthesize, "train": train})


def launch_of(placement: Placement, step: str, task: str, own: Launch) -> Launch:
    """The launch of a task: the placement's for it or for its step, else its own; pods inherit the placement's."""
    chosen = placement.jobs.get(task) or placement.jobs.get(step) or own
    if not chosen.on_cluster:
        return chosen
    return chosen.model_copy(update={"pods": _inherited(placement, step, chosen.pods)})


def starts_on_cluster(recipe: Recipe) -> bool:
    """Whether any job of the recipe runs on a cluster."""
    own = [("synthesize", "synthesize", recipe.synthesize.launch)]
    own += [("train", f"train-{name}", training.settings.launch) for name, training in recipe.train.items()]
    return any(launch_of(recipe.placement, *named).on_cluster for named in own)


def with_launch(settings: TrainSettings, launch: Launch) -> TrainSettings:
    """The settings with another launch, checked again: batches must divide by the ranks. Raises ValidationError."""
    given = {name: getattr(settings, name) for name in settings.model_fields_set}
    return TrainSettings.model_validate({**given, "launch": launch})


def _moved(placement: Placement, name: str, training: Training) -> Training:
    launch = launch_of(placement, "train", f"train-{name}", training.settings.launch)
    return training.model_copy(update={"settings": with_config_read(with_launch(training.settings, launch))})


def _inherited(placement: Placement, step: str, pods: Pods) -> Pods:
    """A job's pods: what it says itself, and the placement's for what it does not; mappings are put together."""
    common = {name: getattr(placement.pods, name) for name in placement.pods.model_fields_set}
    own = {name: getattr(pods, name) for name in pods.model_fields_set}
    both = {
        name: {**value, **own[name]}
        for name, value in common.items()
        if isinstance(value, dict) and isinstance(own.get(name), dict) and name != "affinity"
    }
    return Pods(**{"image": placement.image_of(step), **common, **own, **both})
