"""The tasks of a recipe of `distill`."""

from collections.abc import Iterator

from pipelines.data.tasks import data_tasks, make_task
from pipelines.distill.recipe import BASE, DistillRecipe, model_names, training_order
from pipelines.placement.task import Task


def tasks(recipe: DistillRecipe) -> list[Task]:
    """All tasks, in the order in which they run."""
    trainings = [
        make_task("train", recipe.train[name].settings, name, ("train", name, "settings"), start=recipe.student)
        for name in training_order(recipe)
    ]
    return [
        *data_tasks(recipe),
        *trainings,
        *(make_task("merge", merging, name, ("merge", name)) for name, merging in recipe.merge.items()),
        *_evaluations(recipe),
        make_task("compare", recipe.compare),
        make_task("publish", recipe.publish),
    ]


def _evaluations(recipe: DistillRecipe) -> Iterator[Task]:
    """A task for each model and each endpoint."""
    for name in model_names(recipe):
        known = {"model": recipe.student} if name == BASE else {}
        yield make_task("evaluate", recipe.evaluate.of(name), name, ("evaluate",), **known)
    for name in recipe.evaluate.endpoints:
        yield make_task("evaluate", recipe.evaluate.of(name), name, ("evaluate", "endpoints", name))
