"""Checks of a recipe of `distill` beyond its types: names, starts, merges, benchmarks, endpoints and the gate."""

import re
from collections.abc import Iterable, Iterator

from components.shared.step import Location
from pipelines.data.recipe import find_benchmark_faults
from pipelines.distill.recipe import STUDENT, DistillRecipe
from pipelines.pipeline import NAME_PATTERN
from pipelines.placement.task import Fault
from pipelines.promotion.check_recipe import find_judging_faults
from pipelines.promotion.recipe import BASE


def find_faults(recipe: DistillRecipe) -> Iterator[Fault]:
    """All faults of a recipe whose types are valid."""
    for check in (_names, _starts, _merges, _benchmarks, find_judging_faults):
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
