"""Checks of a recipe of `study` beyond its types: its arms, its benchmarks, and its placement."""

from collections.abc import Iterator

from components.registry import STEPS
from pipelines.data.recipe import find_benchmark_faults
from pipelines.placement.task import Fault
from pipelines.study.check_arms import find_arm_faults
from pipelines.study.given_rows import find_row_faults, steps_of
from pipelines.study.recipe import StudyRecipe

SHARE = "set validation.share, and leave it out here"
PLANNED_OF_EVALUATIONS = {
    "part": SHARE,
    "validation_share": SHARE,
    "on_divergence": "leave it out: a rate whose models cannot be scored is out of its arm's sweep",
}
"""Settings of evaluations that the study decides, and what to do instead."""


def find_faults(recipe: StudyRecipe) -> Iterator[Fault]:
    """All faults of a recipe whose types are valid."""
    for check in (find_row_faults, find_arm_faults, _benchmarks, _evaluation, _jobs):
        yield from check(recipe)


def _benchmarks(recipe: StudyRecipe) -> Iterator[Fault]:
    if (steps := steps_of(recipe)) is not None:
        yield from find_benchmark_faults(steps, recipe.evaluate)
    asked = [benchmark.name for benchmark in recipe.evaluate.benchmarks]
    if recipe.primary not in asked:
        yield Fault(
            ("validation", "benchmark"),
            f"benchmark {recipe.primary!r} is not evaluated\n    allowed: {', '.join(asked)}",
        )
    for number, name in enumerate(recipe.test.benchmarks):
        if name not in asked:
            yield Fault(
                ("test", "benchmarks", number), f"benchmark {name!r} is not evaluated\n    allowed: {', '.join(asked)}"
            )
    if recipe.test.benchmarks and recipe.primary not in recipe.test.benchmarks:
        yield Fault(
            ("test", "benchmarks"),
            f"{recipe.primary!r} is missing\n    rule: arms are judged on the benchmark that their rates were chosen by"
            f"\n    remedy: add {recipe.primary}",
        )


def _evaluation(recipe: StudyRecipe) -> Iterator[Fault]:
    for setting, instead in PLANNED_OF_EVALUATIONS.items():
        if setting in recipe.evaluate.model_fields_set:
            yield Fault(("evaluate", setting), f"{setting} is decided by the study\n    remedy: {instead}")
    if recipe.evaluate.asks_endpoint:
        yield Fault(
            ("evaluate", "generator", "backend"),
            "an endpoint would answer in place of every model\n    rule: models that are files answer from them"
            "\n    remedy: choose a backend that runs files",
        )


def _jobs(recipe: StudyRecipe) -> Iterator[Fault]:
    """Launches of single trainings: those of one method share their settings."""
    for name in recipe.placement.jobs:
        if name not in STEPS:
            yield Fault(
                ("placement", "jobs", name),
                f"{name!r} is one training of many\n    rule: all trainings of a study run alike"
                "\n    allowed: " + ", ".join(step.name for step in STEPS.values() if step.program),
            )
