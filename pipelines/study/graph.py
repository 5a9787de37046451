"""The graph of the pipeline `study`: what runs, in which order, from top to bottom.

The plan (`plan.py`) says what there is; here each planned work becomes a task whose inputs are outputs of others. A
training of fewer epochs follows the one that makes its model on the way, and finds it. A choice needs the complete
sweep of its arm, and the next stage starts from the chosen model with the same seed.

**A failed task** stays red, and what does not depend on it runs: Argo goes on with a DAG's other branches, and so does
kfp.local (`local/task_order.py`). What comes after all of them, such as the analysis, cannot be a task with
`ignore_upstream_failure`: Kubeflow compiles such a task to an exit hook of each task that it depends on, so it would
run once for every evaluation, and not after those that were left out. An exit handler runs once, after its group of
tasks has ended in any way, but takes no outputs of theirs; so it finds the evaluations that are there by the run's
record in the store (`shared/outputs/run_pointer.py`).

**Trainings side by side** are limited by slots (`launch/slots.py`). Kubeflow has no limit for the tasks of one run:
`parallelism` belongs to loops over equal tasks, `semaphore` to whole runs, and in chains of `.after` the first failure
would end the chain.
"""

from typing import Any

from kfp import dsl

from components.adopt.component import adopt
from components.analyse.component import analyse
from components.choose.component import choose
from components.evaluate.component import evaluate
from components.shared.outputs.run_pointer import OF_TASK
from components.train.component import train
from pipelines.data.graph import PreparedData, prepare_data
from pipelines.placement.place_tasks import Placer
from pipelines.placement.placement import Placement
from pipelines.placement.task import plain
from pipelines.study.given_rows import adopt_settings, steps_of
from pipelines.study.plan import PlannedChoice, PlannedEvaluation, PlannedTraining, PlannedWork, plan_study
from pipelines.study.recipe import StudyRecipe
from pipelines.study.tasks import tasks


def study(recipe: StudyRecipe, placement: Placement | None = None) -> Any:
    """The kfp pipeline of a recipe; its parameters `root` and `student` default to the recipe's.

    Args:
        recipe: what runs.
        placement: of the recipe; None for a run on this machine, which has no pods.

    Returns:
        A `dsl.pipeline` function: compile it, or call it under `kfp.local`.
    """
    placed = Placer(tasks(recipe), placement)
    plan = plan_study(recipe)

    def judge(root: Any) -> None:
        evaluations = {key: f"{OF_TASK}{name}" for key, name in plan.evaluations.items()}
        placed(analyse(root=root, settings=plain(plan.analysis), evaluations=evaluations))

    ending = placed.ending(judge)

    @dsl.pipeline(name="study", description=recipe.title or f"Tutelage: {recipe.name}")
    def pipeline(root: str = recipe.store, student: str = recipe.student) -> None:
        with placed.cleaned_up(ending, root):
            unrolled = _Unrolled(root, student, _data(recipe, root, placed), placed)
            for work in plan.works:
                unrolled.add(work)

    return pipeline


def _data(recipe: StudyRecipe, root: Any, placed: Placer) -> PreparedData:
    """The rows and the questions. Given rows are checked for what the arms read before any training begins."""
    steps = steps_of(recipe)
    made = prepare_data(steps, root, placed) if steps else None
    if made and not recipe.rows:
        return made
    selection = made.rows_uri if made else recipe.rows
    adopted = placed(adopt(root=root, settings=plain(adopt_settings(recipe)), selection=selection)).outputs
    return PreparedData(adopted["dataset"], adopted["benchmarks"], adopted["Output"])


class _Unrolled:
    """The tasks so far, by name.

    Args:
        root: the pipeline's parameter with the store's root.
        student: the pipeline's parameter with the student's reference.
        data: the rows and the questions.
        placed: names and places tasks.
    """

    def __init__(self, root: Any, student: Any, data: PreparedData, placed: Placer) -> None:
        self._root, self._student, self._data, self._placed = root, student, data, placed
        self._tasks: dict[str, Any] = {}

    def add(self, work: PlannedWork) -> None:
        """Add the task of a planned work."""
        match work:
            case PlannedTraining():
                task = self._training(work)
            case PlannedEvaluation():
                task = self._evaluation(work)
            case PlannedChoice():
                task = self._choice(work)
        self._tasks[work.name] = self._placed(task, work.name)

    def _training(self, work: PlannedTraining) -> Any:
        start, settings = self._output(work.start), plain(work.settings)
        task = train(
            root=self._root, task=work.name, settings=settings, dataset=self._data.rows, start=start, budget=[]
        )
        return task.after(self._tasks[work.after]) if work.after else task

    def _evaluation(self, work: PlannedEvaluation) -> Any:
        return evaluate(
            root=self._root,
            task=work.name,
            name=work.model or "base",
            settings=plain(work.settings),
            benchmarks=self._data.benchmarks,
            model=self._output(work.model),
        )

    def _choice(self, work: PlannedChoice) -> Any:
        return choose(
            root=self._root,
            task=work.name,
            settings=plain(work.settings),
            evaluations={key: self._output(name) for key, name in work.evaluations.items()},
            seed=str(work.seed),
        )

    def _output(self, name: str) -> Any:
        """What a task returns; without a name the student."""
        return self._tasks[name].outputs["Output"] if name else self._student
