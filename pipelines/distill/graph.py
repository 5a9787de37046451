"""The graph of the pipeline `distill`: what runs, in which order, from top to bottom.

How each step works is in `components/`, on what it runs in `pipelines/placement`. Variants and merges are unrolled when
the pipeline is compiled, so the graph shows each.
"""

from typing import Any

from kfp import dsl

from components.merge.component import merge
from components.train.component import train
from pipelines.data.graph import prepare_data
from pipelines.distill.recipe import STUDENT, DistillRecipe, sweep_of, training_order
from pipelines.distill.tasks import tasks
from pipelines.placement.place_tasks import Placer
from pipelines.placement.placement import Placement
from pipelines.placement.task import plain
from pipelines.promotion.graph import judge_models
from pipelines.promotion.recipe import BASE


def distill(recipe: DistillRecipe, placement: Placement | None = None) -> Any:
    """The kfp pipeline of a recipe; its parameters `root` and `student` default to the recipe's.

    Args:
        recipe: what runs.
        placement: of the recipe; None for a run on this machine, which has no pods.

    Returns:
        A `dsl.pipeline` function: compile it, or call it under `kfp.local`.
    """
    placed = Placer(tasks(recipe), placement)

    @dsl.pipeline(name="distill", description=recipe.title or f"Tutelage: {recipe.name}")
    def pipeline(root: str = recipe.store, student: str = recipe.student) -> None:
        with placed.cleaned_up():
            data = prepare_data(recipe, root, placed)
            models: dict[str, Any] = {STUDENT: student}
            for name in training_order(recipe):
                variant = recipe.train[name]
                settings, start = plain(variant.settings), models[variant.start]
                task = train(
                    root=root, task=f"train-{name}", settings=settings, dataset=data.rows, start=start, budget=[]
                )
                models[name] = placed(task, f"train-{name}").outputs["Output"]
            models[BASE] = models.pop(STUDENT)
            merged: dict[str, Any] = {}
            for name, merging in recipe.merge.items():
                # The first of a sweep reads the models once for all; the others then find their outputs.
                first, *later = sweep_of(recipe, name)
                wanted = {part: models[part] for part in merging.used}
                facts = {"task": f"merge-{name}", "settings": plain(merging), "models": wanted}
                others = [plain(recipe.merge[other]) for other in later if name == first]
                merged[name] = placed(merge(root=root, others=others, **facts), f"merge-{name}")
                if name != first:
                    merged[name].after(merged[first])
                models[name] = merged[name].outputs["Output"]
            judge_models(recipe, root, data.benchmarks, models, placed)

    return pipeline
