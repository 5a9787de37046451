"""The tasks that judge models, which pipelines with a gate share."""

from collections.abc import Iterator, Sequence

from pipelines.data.tasks import make_task
from pipelines.placement.task import Task
from pipelines.promotion.recipe import BASE, JudgingSteps, comparing


def judging_tasks(recipe: JudgingSteps, models: Sequence[str]) -> Iterator[Task]:
    """A task for each model and each endpoint, the comparison, and the gate.

    Args:
        recipe: the settings of the steps.
        models: names of the models that are files, in the order of reports; the base is one of them.
    """
    for name in models:
        known = {"model": recipe.student} if name == BASE else {}
        yield make_task("evaluate", recipe.evaluate.of(name), name, ("evaluate",), **known)
    for name in recipe.evaluate.endpoints:
        yield make_task("evaluate", recipe.evaluate.of(name), name, ("evaluate", "endpoints", name))
    yield make_task("compare", comparing(recipe))
    yield make_task("publish", recipe.publish)
