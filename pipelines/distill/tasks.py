"""The tasks of a recipe of `distill`."""

from pipelines.data.tasks import data_tasks, make_task
from pipelines.distill.recipe import DistillRecipe, model_names, training_order
from pipelines.placement.task import Task
from pipelines.promotion.tasks import judging_tasks


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
        *judging_tasks(recipe, model_names(recipe)),
    ]
