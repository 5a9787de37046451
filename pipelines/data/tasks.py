"""The tasks from collect to curate and to select, which pipelines with the same data share."""

from components.registry import STEPS
from components.shared.settings import Settings
from components.shared.step import Location
from pipelines.data.recipe import DataSteps, ProblemSteps
from pipelines.placement.task import Task


def problem_tasks(recipe: ProblemSteps) -> list[Task]:
    """The tasks that make problems and questions, in order."""
    return [make_task("collect", recipe.collect), make_task("curate", recipe.curate)]


def data_tasks(recipe: DataSteps) -> list[Task]:
    """The tasks that make the rows and the questions, in order."""
    return [
        *problem_tasks(recipe),
        make_task("synthesize", recipe.synthesize),
        make_task("select", recipe.select),
    ]


def make_task(step: str, settings: Settings, variant: str = "", location: Location = (), **inputs: str) -> Task:
    """A task of a step.

    Args:
        step: the step's name.
        settings: the step's settings.
        variant: what distinguishes it from other tasks of the step; empty if it is the only one.
        location: where in the recipe its settings are; empty: at the step's name.
        inputs: the inputs whose value is known before the run.
    """
    name = f"{step}-{variant}" if variant else step
    return Task(name, STEPS[step], settings, location or (step,), inputs)
