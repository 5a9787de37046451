"""The graph from evaluations to promotion, which pipelines with a gate share."""

from collections.abc import Mapping, Sequence
from typing import Any

from components.compare.component import compare
from components.evaluate.component import evaluate
from components.publish.component import publish
from components.shared.outputs.digest import digest_value
from pipelines.placement.place_tasks import Placer
from pipelines.placement.task import plain
from pipelines.promotion.recipe import BASE, JudgingSteps, comparing


def judge_models(
    recipe: JudgingSteps,
    root: Any,
    benchmarks: Any,
    models: Mapping[str, Any],
    placed: Placer,
    *,
    beside: Sequence[Any] = (),
) -> None:
    """Add the evaluation of every model and endpoint, the comparison and the gate to the pipeline being built.

    Each evaluation depends on its model alone: on Kubeflow they run side by side, the base's right after collect.

    Args:
        recipe: the settings of the steps.
        root: the pipeline's parameter with the store's root.
        benchmarks: the questions.
        models: references of the models that are files, by name, in the order of reports; one is the base.
        placed: names and places tasks.
        beside: URIs of outputs that the report shows too.
    """
    evaluations: dict[str, Any] = {}
    for name in (*models, *recipe.evaluate.endpoints):
        facts = {"task": f"evaluate-{name}", "name": name, "settings": plain(recipe.evaluate.of(name))}
        task = evaluate(root=root, benchmarks=benchmarks, model=models.get(name, ""), **facts)
        evaluations[name] = placed(task, f"evaluate-{name}").outputs["Output"]
    compared = placed(compare(root=root, settings=plain(comparing(recipe)), evaluations=evaluations))
    settings = _named(recipe, tuple(name for name in evaluations if name != BASE))
    comparison = compared.outputs["comparison"]
    placed(publish(root=root, settings=settings, comparison=comparison, beside=list(beside)))


def _named(recipe: JudgingSteps, order: tuple[str, ...]) -> dict[str, Any]:
    """The settings of publish, with facts for the report: the run's name, the recipe's digest, the variants' order."""
    named = {"run_name": recipe.name, "recipe_digest": digest_value(recipe.key_material()), "order": order}
    return plain(recipe.publish.model_copy(update=named))
