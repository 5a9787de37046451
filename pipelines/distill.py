"""The pipeline `distill`: collect, curate, synthesize, select, train, merge, evaluate, publish.

What runs and in which order is read here from top to bottom; how each step is done stands in `components/`, on what
it runs in `placement.py`. Variants and merges are unrolled when the pipeline is compiled, so the graph shows each.
"""

import hashlib
from typing import Any

from kfp import dsl

from components.collect.component import collect
from components.curate.component import curate
from components.evaluate.component import evaluate
from components.merge.component import merge
from components.publish.component import publish
from components.select.component import select
from components.shared.manifest import canonical
from components.synthesize.component import synthesize
from components.train.component import train
from pipelines.placement import place
from pipelines.recipe import BASE, STUDENT, Recipe


def distill(recipe: Recipe) -> Any:
    """The kfp pipeline of a recipe; its parameters `root` and `student` default to the recipe's.

    Returns:
        A `dsl.pipeline` function: compile it, or call it under `kfp.local`.
    """

    @dsl.pipeline(name="distill", description=recipe.title or f"Tutelage: {recipe.name}")
    def pipeline(root: str = recipe.store, student: str = recipe.student) -> None:
        def placed(step: str, name: str, task: Any) -> Any:
            place(task, step, recipe.placement)
            return task.set_display_name(name)

        collected = placed("collect", "collect", collect(root=root, settings=_plain(recipe.collect)))
        curated = placed(
            "curate",
            "curate",
            curate(
                root=root,
                settings=_plain(recipe.curate),
                instructions=collected.outputs["dataset"],
                benchmarks=collected.outputs["benchmarks"],
            ),
        )
        answered = placed(
            "synthesize",
            "synthesize",
            synthesize(root=root, settings=_plain(recipe.synthesize), dataset=curated.outputs["dataset"]),
        )
        selected = placed(
            "select",
            "select",
            select(root=root, settings=_plain(recipe.select), responses=answered.outputs["responses"]),
        )
        models: dict[str, Any] = {STUDENT: student}
        for name in training_order(recipe):
            variant = recipe.train[name]
            task = train(
                root=root,
                task=f"train-{name}",
                settings=_plain(variant.settings),
                dataset=selected.outputs["dataset"],
                start=models[variant.start],
            )
            models[name] = placed("train", f"train-{name}", task).outputs["Output"]
        models[BASE] = models.pop(STUDENT)
        for name, merging in recipe.merge.items():
            wanted = {part: models[part] for part in merging.used}
            task = merge(root=root, task=f"merge-{name}", settings=_plain(merging), models=wanted)
            models[name] = placed("merge", f"merge-{name}", task).outputs["Output"]
        evaluated = placed(
            "evaluate",
            "evaluate",
            evaluate(
                root=root,
                settings=_plain(recipe.evaluate),
                benchmarks=collected.outputs["benchmarks"],
                models=models,
            ),
        )
        placed(
            "publish",
            "publish",
            publish(root=root, settings=_named(recipe), comparison=evaluated.outputs["comparison"]),
        )

    return pipeline


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
    """The settings of publish, with the run's name and the recipe's digest for the report."""
    named = {"run_name": recipe.name, "recipe_digest": recipe_digest(recipe)}
    return _plain(recipe.publish.model_copy(update=named))


def recipe_digest(recipe: Recipe) -> str:
    """SHA-256 of everything in the recipe that shapes results, wherever it stands and on whatever it runs."""
    return hashlib.sha256(canonical(recipe.key_material())).hexdigest()


def _plain(settings: Any) -> dict[str, Any]:
    """Settings as plain values: what the recipe says, and no defaults, so that compiled pipelines stay short.

    A pipeline's constants hold no nulls; `check_recipe` sees to it that a null only restates a default.
    """
    plain: dict[str, Any] = settings.model_dump(mode="json", exclude_unset=True, exclude_none=True)
    return plain
