"""Checks of a recipe of `curriculum` beyond its types: answers, trainings, baselines, and what judges models."""

from collections.abc import Iterator

from components.collect.shapes.registry import SHAPES
from components.collect.source_settings import NO_CHECK
from components.shared.settings import Settings
from components.shared.step import Location
from components.train.methods.registry import METHODS, method_of
from pipelines.curriculum.baselines import BOTH
from pipelines.curriculum.plan import plan_curriculum
from pipelines.curriculum.probe_sampling import find_sampling_faults
from pipelines.curriculum.recipe import CurriculumRecipe
from pipelines.data.recipe import find_benchmark_faults
from pipelines.placement.task import Fault
from pipelines.promotion.check_recipe import find_judging_faults
from pipelines.promotion.recipe import BASE


def find_faults(recipe: CurriculumRecipe) -> Iterator[Fault]:
    """All faults of a recipe whose types are valid."""
    for check in (
        _checks,
        _probe,
        find_sampling_faults,
        _methods,
        _planned,
        _baselines,
        _names,
        _benchmarks,
        find_judging_faults,
    ):
        yield from check(recipe)


def _checks(recipe: CurriculumRecipe) -> Iterator[Fault]:
    """Sources whose rows have no check: nothing says whether a rollout is right."""
    checked = [name for name, shape in SHAPES.items() if shape.has_check]
    for number, source in enumerate(recipe.collect.sources):
        if source.check.kind == NO_CHECK and source.shape not in checked:
            yield Fault(
                ("collect", "sources", number, "check"),
                f"the problems of {source.name!r} have no check\n    rule: pass rates and rewards are known only where "
                "answers can be checked\n    remedy: check: {kind: math} (or exact, choice), or, if its rows come with "
                f"a check, name their shape: {', '.join(checked)}",
            )


def _probe(recipe: CurriculumRecipe) -> Iterator[Fault]:
    if recipe.probe.asks_endpoint:
        yield Fault(
            ("probe", "generator", "backend"),
            "an endpoint would be probed in place of every model\n    rule: each round probes the model that it begins "
            "with\n    remedy: choose a backend that runs files",
        )


def _methods(recipe: CurriculumRecipe) -> Iterator[Fault]:
    """Methods that read another part than the one that their training gets."""
    for part in BOTH:
        settings = getattr(recipe.train, part)
        if method_of(settings).part != part:
            allowed = ", ".join(name for name, method in METHODS.items() if method.part == part)
            yield Fault(
                ("train", part, "method"),
                f"{settings.method!r} reads {method_of(settings).part}/\n    rule: this training gets the rows of "
                f"{part}/\n    allowed: {allowed}",
            )


def _planned(recipe: CurriculumRecipe) -> Iterator[Fault]:
    """Settings that the pipeline decides."""
    deciding: tuple[tuple[Location, Settings], ...] = (
        (("route",), recipe.route),
        (("bridge",), recipe.bridge),
        *((("train", part), getattr(recipe.train, part)) for part in BOTH),
    )
    for location, settings in deciding:
        if "when_empty" in settings.model_fields_set:
            yield Fault(
                (*location, "when_empty"),
                "when_empty is decided by the pipeline\n    rule: a round with nothing left to learn passes its model "
                "through\n    remedy: leave it out",
            )


def _baselines(recipe: CurriculumRecipe) -> Iterator[Fault]:
    names = recipe.compare.baselines
    for number, name in enumerate(names):
        if name in names[:number]:
            yield Fault(("compare", "baselines", number), f"{name!r} is there already; list each baseline once")


def _names(recipe: CurriculumRecipe) -> Iterator[Fault]:
    """Endpoints named like models."""
    taken = {BASE, *plan_curriculum(recipe).models}
    for name in recipe.evaluate.endpoints:
        if name in taken:
            yield Fault(("evaluate", "endpoints", name), f"{name!r} is the name of a model; choose another name")


def _benchmarks(recipe: CurriculumRecipe) -> Iterator[Fault]:
    yield from find_benchmark_faults(recipe, recipe.evaluate)
