"""The tasks of a recipe of `study`."""

from collections.abc import Iterator

from pipelines.data.tasks import data_tasks, make_task
from pipelines.placement.task import Task
from pipelines.study.check_arms import find_arm_faults
from pipelines.study.given_rows import adopt_settings, steps_of
from pipelines.study.plan import PlannedChoice, PlannedEvaluation, PlannedTraining, PlannedWork, plan_study
from pipelines.study.recipe import StudyRecipe


def tasks(recipe: StudyRecipe) -> list[Task]:
    """All tasks, in the order in which they run on one machine; of arms or data that have faults, none."""
    steps = steps_of(recipe)
    return [*(data_tasks(steps) if steps else ()), *_planned(recipe)]


def _planned(recipe: StudyRecipe) -> Iterator[Task]:
    if any(find_arm_faults(recipe)):
        return
    if recipe.rows:
        known = {"selection": recipe.rows, "root": recipe.store} if recipe.adopts else {}
        yield make_task("adopt", adopt_settings(recipe), location=("rows",), **known)
    plan = plan_study(recipe)
    for work in plan.works:
        yield _task_of(recipe, work)
    yield make_task("analyse", plan.analysis)


def _task_of(recipe: StudyRecipe, work: PlannedWork) -> Task:
    step, _, variant = work.name.partition("-")
    match work:
        case PlannedTraining():
            return make_task(step, work.settings, variant, work.location, start=recipe.student)
        case PlannedEvaluation():
            known = {} if work.model else {"model": recipe.student}
            return make_task(step, work.settings, variant, ("evaluate",), **known)
        case PlannedChoice():
            return make_task(step, work.settings, variant, ("validation",))
