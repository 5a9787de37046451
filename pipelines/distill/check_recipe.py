"""Checks of a recipe of `distill` beyond its types: names, starts, merges, benchmarks, endpoints and the gate."""

import re
from collections.abc import Iterable, Iterator

from components.models.generators.generator import Ability
from components.models.generators.registry import BACKENDS
from components.shared.step import Location
from pipelines.data.recipe import find_benchmark_faults
from pipelines.distill.recipe import BASE, STUDENT, DistillRecipe
from pipelines.pipeline import NAME_PATTERN
from pipelines.placement.task import Fault


def find_faults(recipe: DistillRecipe) -> Iterator[Fault]:
    """All faults of a recipe whose types are valid."""
    for check in (_names, _starts, _merges, _benchmarks, _endpoints, _gate):
        yield from check(recipe)


def _names(recipe: DistillRecipe) -> Iterator[Fault]:
    taken = dict.fromkeys((BASE, STUDENT), "reserved for the student")
    parts: tuple[tuple[Location, Iterable[str], str], ...] = (
        (("train",), recipe.train, "already the name of a trained variant"),
        (("merge",), recipe.merge, "already the name of a merge"),
        (("evaluate", "endpoints"), recipe.evaluate.endpoints, ""),
    )
    for part, names, what in parts:
        for name in names:
            if not re.fullmatch(NAME_PATTERN, name):
                rule = "1 to 40 lower-case letters, digits and -, which is neither first nor last"
                yield Fault((*part, name), f"{name!r} is not a valid name\n    rule: {rule}")
            if name in taken:
                yield Fault((*part, name), f"{name!r} is {taken[name]}; choose another name")
        taken |= {name: what for name in names if name not in taken}


def _starts(recipe: DistillRecipe) -> Iterator[Fault]:
    for name, variant in recipe.train.items():
        seen, current = [name], variant.start
        while current != STUDENT:
            if current not in recipe.train:
                allowed = ", ".join([STUDENT, *(other for other in recipe.train if other != name)])
                yield Fault(("train", name, "start"), f"unknown variant {current!r}\n    allowed: {allowed}")
                break
            if current in seen:
                yield Fault(("train", name, "start"), f"starts form a circle: {' → '.join([*seen, current])}")
                break
            seen.append(current)
            current = recipe.train[current].start


def _merges(recipe: DistillRecipe) -> Iterator[Fault]:
    allowed = [BASE, *recipe.train]
    for name, merging in recipe.merge.items():
        for number, part in enumerate(merging.models):
            if part.name not in allowed:
                yield Fault(
                    ("merge", name, "models", number), f"unknown model {part.name!r}\n    allowed: {', '.join(allowed)}"
                )
        if merging.base and merging.base not in allowed:
            yield Fault(("merge", name, "base"), f"unknown model {merging.base!r}\n    allowed: {', '.join(allowed)}")


def _benchmarks(recipe: DistillRecipe) -> Iterator[Fault]:
    yield from find_benchmark_faults(recipe, recipe.evaluate)


def _endpoints(recipe: DistillRecipe) -> Iterator[Fault]:
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


def _gate(recipe: DistillRecipe) -> Iterator[Fault]:
    allowed = [benchmark.name for benchmark in recipe.evaluate.benchmarks]
    gate = recipe.publish.gate
    named: list[tuple[Location, str]] = [(("publish", "gate", "max_loss", name), name) for name in gate.max_loss]
    for location, name in [(("publish", "gate", "benchmark"), gate.benchmark), *named]:
        if name and name not in allowed:
            yield Fault(location, f"benchmark {name!r} is not evaluated\n    allowed: {', '.join(allowed)}")
