"""The pipeline `distill`: collect, curate, synthesize, select, train, merge, evaluate, publish.

What runs and in which order is read here from top to bottom; how each step is done stands in `components/`, on what
it runs in `placement.py`. Variants and merges are unrolled when the pipeline is compiled, so the graph shows each.
"""

import hashlib
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from kfp import dsl

from components.clean_up.component import clean_up
from components.collect.component import collect
from components.curate.component import curate
from components.evaluate.component import evaluate
from components.merge.component import merge
from components.publish.component import publish
from components.select.component import select
from components.shared.manifest import canonical
from components.synthesize.component import synthesize
from components.train.component import train
from pipelines.placement import Placement, place
from pipelines.recipe import BASE, STUDENT, Recipe, plain


def distill(recipe: Recipe, placement: Placement | None = None) -> Any:
    """The kfp pipeline of a recipe; its parameters `root` and `student` default to the recipe's.

    Args:
        recipe: what runs.
        placement: what the tasks' pods get; None on one machine, which has no pods.

    Returns:
        A `dsl.pipeline` function: compile it, or call it under `kfp.local`.
    """
    placed = _Placer(recipe, placement)

    @dsl.pipeline(name="distill", description=recipe.title or f"Tutelage: {recipe.name}")
    def pipeline(root: str = recipe.store, student: str = recipe.student) -> None:
        with placed.cleaned_up():
            collected = placed(collect(root=root, settings=plain(recipe.collect)))
            benchmarks = collected.outputs["benchmarks"]
            curated = placed(
                curate(
                    root=root,
                    settings=plain(recipe.curate),
                    instructions=collected.outputs["dataset"],
                    benchmarks=benchmarks,
                )
            )
            answered = placed(
                synthesize(root=root, settings=plain(recipe.synthesize), dataset=curated.outputs["dataset"])
            )
            selected = placed(select(root=root, settings=plain(recipe.select), responses=answered.outputs["responses"]))
            models: dict[str, Any] = {STUDENT: student}
            for name in training_order(recipe):
                variant, rows = recipe.train[name], selected.outputs["dataset"]
                settings, start = plain(variant.settings), models[variant.start]
                task = train(root=root, task=f"train-{name}", settings=settings, dataset=rows, start=start)
                models[name] = placed(task, f"train-{name}").outputs["Output"]
            models[BASE] = models.pop(STUDENT)
            for name, merging in recipe.merge.items():
                wanted = {part: models[part] for part in merging.used}
                task = merge(root=root, task=f"merge-{name}", settings=plain(merging), models=wanted)
                models[name] = placed(task, f"merge-{name}").outputs["Output"]
            evaluated = placed(
                evaluate(root=root, settings=plain(recipe.evaluate), benchmarks=benchmarks, models=models)
            )
            placed(publish(root=root, settings=_named(recipe), comparison=evaluated.outputs["comparison"]))

    return pipeline


class _Placer:
    """Names tasks and places them; `placed(task, name)`, the name left out where a step has one task."""

    def __init__(self, recipe: Recipe, placement: Placement | None) -> None:
        self._placement = placement
        self._launches = {"synthesize": recipe.synthesize.launch}
        self._launches |= {f"train-{name}": training.settings.launch for name, training in recipe.train.items()}

    def __call__(self, task: Any, name: str = "") -> Any:
        step = task.component_spec.name.replace("-", "_")
        if self._placement is not None:
            launch = self._launches.get(name or step)
            starts_job = launch is not None and launch.on_cluster
            place(task, step, self._placement, name=name, starts_job=starts_job)
        return task.set_display_name(name or step)

    def cleaned_up(self) -> AbstractContextManager[Any]:
        """Where jobs run on a cluster, a last task ends what is left of them, however the others end."""
        if self._placement is None or not any(launch.on_cluster for launch in self._launches.values()):
            return nullcontext()
        # Kubeflow's versions do not agree on inputs that are left out.
        last = clean_up(namespace=self._placement.pods.namespace)
        return dsl.ExitHandler(self(last, "clean-up"), name="with clean-up")


def training_order(recipe: Recipe) -> list[str]:
    """Variants in an order in which each starts from what is there; the recipe's order otherwise."""
    order: list[str] = []
    waiting = list(recipe.train)
    while waiting:
        ready = next(name for name in waiting if recipe.train[name].start in {STUDENT, *order})
        order.append(ready)
        waiting.remove(ready)
    return order


def task_names(recipe: Recipe) -> list[str]:
    """All tasks of the pipeline in the order in which they run."""
    return [
        "collect",
        "curate",
        "synthesize",
        "select",
        *(f"train-{name}" for name in training_order(recipe)),
        *(f"merge-{name}" for name in recipe.merge),
        "evaluate",
        "publish",
    ]


def _named(recipe: Recipe) -> dict[str, Any]:
    """The settings of publish, with what the report says of the run: its name, its recipe, the variants' order."""
    order = (*training_order(recipe), *recipe.merge)
    named = {"run_name": recipe.name, "recipe_digest": recipe_digest(recipe), "order": order}
    return plain(recipe.publish.model_copy(update=named))


def recipe_digest(recipe: Recipe) -> str:
    """SHA-256 of everything in the recipe that shapes results, wherever it stands and on whatever it runs."""
    return hashlib.sha256(canonical(recipe.key_material())).hexdigest()
