"""The graph of the pipeline `curriculum`: what runs, in which order, from top to bottom.

The plan (`plan.py`) says what there is; here each planned work becomes a task whose inputs are outputs of others.
Rounds are unrolled when the pipeline is compiled, so the graph shows each.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from kfp import dsl

from components.bridge.component import bridge
from components.critique.component import critique
from components.probe.component import probe
from components.registry import STEPS
from components.route.component import route
from components.train.component import train
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
from pipelines.curriculum.tasks import tasks
from pipelines.data.graph import prepare_problems
from pipelines.placement.place_tasks import Placer
from pipelines.placement.placement import Placement
from pipelines.placement.task import plain
from pipelines.promotion.graph import judge_models
from pipelines.promotion.recipe import BASE


def curriculum(recipe: CurriculumRecipe, placement: Placement | None = None) -> Any:
    """The kfp pipeline of a recipe; its parameters `root` and `student` default to the recipe's.

    Args:
        recipe: what runs.
        placement: of the recipe; None for a run on this machine, which has no pods.

    Returns:
        A `dsl.pipeline` function: compile it, or call it under `kfp.local`.
    """
    placed = Placer(tasks(recipe), placement)
    plan = plan_curriculum(recipe)

    @dsl.pipeline(name="curriculum", description=recipe.title or f"Tutelage: {recipe.name}")
    def pipeline(root: str = recipe.store, student: str = recipe.student) -> None:
        with placed.cleaned_up():
            problems = prepare_problems(recipe, root, placed)
            unrolled = _UnrolledRounds(root, student, problems.instructions, placed)
            for work in plan.works:
                unrolled.add(work)
            models = {BASE: student, **unrolled.models(plan.models)}
            judge_models(recipe, root, problems.benchmarks, models, placed, beside=unrolled.outputs(plan.reported))

    return pipeline


class _UnrolledRounds:
    """The tasks so far, by name.

    Args:
        root: the pipeline's parameter with the store's root.
        student: the pipeline's parameter with the student's reference.
        problems: the curated instructions.
        placed: names and places tasks.
    """

    def __init__(self, root: Any, student: Any, problems: Any, placed: Placer) -> None:
        self._root, self._student, self._problems, self._placed = root, student, problems, placed
        self._tasks: dict[str, Any] = {}

    def add(self, work: CurriculumWork) -> None:
        """Add the task of a planned work."""
        common = {"root": self._root, "task": work.name, "settings": plain(work.settings)}
        match work:
            case PlannedProbe():
                task = probe(problems=self._problems, model=self._model(work.model), **common)
            case PlannedRoute():
                task = route(probed=self._rows(work.probed), **common)
            case PlannedBridge():
                routed, probed = self._rows(work.routed), self._rows(work.probed)
                task = bridge(routed=routed, probed=probed, student=self._model(work.student), **common)
                if work.after:
                    task.after(self._tasks[work.after])
            case PlannedCritique():
                task = critique(probed=self._rows(work.probed), bridged=self._rows(work.bridged), **common)
            case CurriculumTraining():
                budget = [self._model(name) for name in work.budget]
                start = self._model(work.start)
                task = train(dataset=self._rows(work.dataset), start=start, budget=budget, **common)
        self._tasks[work.name] = self._placed(task, work.name)

    def outputs(self, names: Iterable[str]) -> list[Any]:
        """The outputs of tasks, as URIs."""
        return [self._tasks[name].outputs["Output"] for name in names]

    def models(self, trainings: Mapping[str, str]) -> dict[str, Any]:
        """References of models, by the names under which they are evaluated."""
        return {name: self._model(training) for name, training in trainings.items()}

    def _model(self, training: str) -> Any:
        """The model of a training; without a name the student."""
        return self._tasks[training].outputs["Output"] if training else self._student

    def _rows(self, name: str) -> Any:
        """The rows of a task: the only product of its step."""
        (made,) = STEPS[name.partition("-")[0]].outputs
        return self._tasks[name].outputs[made]
