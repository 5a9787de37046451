"""Checks of what judges models, beyond its types: endpoints and the gate."""

from collections.abc import Iterator

from components.models.generators.generator import Ability
from components.models.generators.registry import BACKENDS
from components.shared.step import Location
from pipelines.placement.task import Fault
from pipelines.promotion.recipe import JudgingSteps


def find_judging_faults(recipe: JudgingSteps) -> Iterator[Fault]:
    """All faults of the evaluation's endpoints and of the gate."""
    yield from _endpoints(recipe)
    yield from _gate(recipe)


def _endpoints(recipe: JudgingSteps) -> Iterator[Fault]:
    """Endpoints are rows of their own; a model that is files answers from them."""
    evaluating = recipe.evaluate
    remote = [name for name, backend in BACKENDS.items() if backend.is_remote]
    if evaluating.asks_endpoint:
        yield Fault(
            ("evaluate", "generator", "backend"),
            "an endpoint would answer in place of every model\n    rule: models that are files answer from them"
            "\n    remedy: list the endpoint in evaluate.endpoints",
        )
    for name, generator in evaluating.endpoints.items():
        if not generator.is_remote:
            yield Fault(
                ("evaluate", "endpoints", name, "backend"),
                f"backend {generator.backend!r} runs files\n    rule: these rows are models that are only endpoints"
                f"\n    allowed: {', '.join(remote)}",
            )
        if evaluating.ranked and Ability.LOG_PROBABILITIES not in generator.abilities:
            yield Fault(
                ("evaluate", "endpoints", name, "backend"),
                f"backend {generator.backend!r} does not compute log-likelihoods of given texts"
                f"\n    rule: {', '.join(evaluating.ranked)} is ranked by them, and every model is asked everything"
                "\n    remedy: leave out either the endpoint or the ranked benchmarks",
            )


def _gate(recipe: JudgingSteps) -> Iterator[Fault]:
    allowed = [benchmark.name for benchmark in recipe.evaluate.benchmarks]
    gate = recipe.publish.gate
    named: list[tuple[Location, str]] = [(("publish", "gate", "max_loss", name), name) for name in gate.max_loss]
    for location, name in [(("publish", "gate", "benchmark"), gate.benchmark), *named]:
        if name and name not in allowed:
            yield Fault(location, f"benchmark {name!r} is not evaluated\n    allowed: {', '.join(allowed)}")
