"""The tasks of a recipe of `curriculum`."""

from pipelines.curriculum.plan import (
    CurriculumTraining,
    CurriculumWork,
    PlannedBridge,
    PlannedCritique,
    PlannedProbe,
    PlannedRoute,
    plan_curriculum,
)
from pipelines.curriculum.recipe import CurriculumRecipe
from pipelines.data.tasks import make_task, problem_tasks
from pipelines.placement.task import Task
from pipelines.promotion.tasks import judging_tasks


def tasks(recipe: CurriculumRecipe) -> list[Task]:
    """All tasks, in the order in which they run on one machine."""
    plan = plan_curriculum(recipe)
    return [
        *problem_tasks(recipe),
        *(_task_of(recipe, work) for work in plan.works),
        *judging_tasks(recipe, plan.names),
    ]


def _task_of(recipe: CurriculumRecipe, work: CurriculumWork) -> Task:
    step, _, variant = work.name.partition("-")
    match work:
        case PlannedProbe():
            return make_task(step, work.settings, variant, ("probe",), model=recipe.student)
        case PlannedRoute():
            return make_task(step, work.settings, variant, work.location)
        case PlannedBridge():
            return make_task(step, work.settings, variant, ("bridge",), student=recipe.student)
        case PlannedCritique():
            return make_task(step, work.settings, variant, ("critique",))
        case CurriculumTraining():
            return make_task(step, work.settings, variant, work.location, start=recipe.student)
