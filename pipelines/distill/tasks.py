"""The tasks of a recipe of `distill`."""

from collections.abc import Iterator

from components.registry import STEPS
from components.shared.settings import Settings
from components.shared.step import Location
from pipelines.distill.recipe import BASE, DistillRecipe, model_names, training_order
from pipelines.placement.task import Task


def tasks(recipe: DistillRecipe) -> list[Task]:
    """All tasks, in the order in which they run."""
    trainings = [
        _task("train", recipe.train[name].settings, name, ("train", name, "settings"), start=recipe.student)
        for name in training_order(recipe)
    ]
    return [
        _task("collect", recipe.collect),
        _task("curate", recipe.curate),
        _task("synthesize", recipe.synthesize),
        _task("select", recipe.select),
        *trainings,
        *(_task("merge", merging, name, ("merge", name)) for name, merging in recipe.merge.items()),
        *_evaluations(recipe),
        _task("compare", recipe.compare),
        _task("publish", recipe.publish),
    ]


def _evaluations(recipe: DistillRecipe) -> Iterator[Task]:
    """A task for each model and each endpoint."""
    for name in model_names(recipe):
        known = {"model": recipe.student} if name == BASE else {}
        yield _task("evaluate", recipe.evaluate.of(name), name, ("evaluate",), **known)
    for name in recipe.evaluate.endpoints:
        yield _task("evaluate", recipe.evaluate.of(name), name, ("evaluate", "endpoints", name))


def _task(step: str, settings: Settings, variant: str = "", location: Location = (), **inputs: str) -> Task:
    name = f"{step}-{variant}" if variant else step
    return Task(name, STEPS[step], settings, location or (step,), inputs)
