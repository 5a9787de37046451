"""What a study compares, with its names and learning rates: the arms, and the stages that they start from."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from components.shared.step import Location
from components.train.methods.registry import METHODS
from pipelines.study.arms import Arm, Point, point_of
from pipelines.study.recipe import StudyRecipe


@dataclass(frozen=True)
class NamedArm:
    """One arm with the epochs of all its stages, and where the recipe has it."""

    location: Location
    name: str
    arm: Arm
    point: Point


@dataclass(frozen=True)
class SweptPoint:
    """A point whose learning rates are tried: an arm, or a stage that arms start from.

    Attributes:
        name: the arm's, or the point's own.
        point: chain and weights.
        rates: the learning rates of its last stage, in ascending order.
        is_arm: whether the study judges it.
    """

    name: str
    point: Point
    rates: tuple[float, ...]
    is_arm: bool


def references_of(recipe: StudyRecipe) -> Mapping[str, bool]:
    """Whether each method has a reference, by its name in the recipe."""
    return {name: METHODS[method.settings.method].has_reference for name, method in recipe.methods.items()}


def named_arms(recipe: StudyRecipe) -> list[NamedArm]:
    """The arms, in the recipe's order. Its faults must have been found before."""
    budget = _budget(recipe)
    arms = []
    for location, arm in recipe.given_arms:
        point = point_of(arm)
        if point.chain.last.epochs is None:
            assert budget is not None, "find_faults refuses a chain without epochs where nothing is matched"
            point = recipe.compute.matched(point, budget, references_of(recipe))
        arms.append(NamedArm(location, arm.name or point.slug, arm, point))
    return arms


def _budget(recipe: StudyRecipe) -> float | None:
    """What the arm that the others match costs; None where nothing is matched."""
    if recipe.compute.match == "none":
        return None
    points = {arm.name or point_of(arm).slug: point_of(arm) for _, arm in recipe.given_arms}
    return recipe.compute.cost(points[recipe.compute.arm], references_of(recipe))


def swept_points(recipe: StudyRecipe) -> list[SweptPoint]:
    """Every point once, each after the one that it starts from."""
    arms = {named.point: named for named in named_arms(recipe)}
    points = dict.fromkeys(point for named in arms.values() for point in _with_starts(named.point))
    # The longest training first: it makes the models of fewer epochs on the way.
    order = sorted(points, key=lambda point: (len(point.chain.stages), -(point.chain.last.epochs or 0)))
    return [_swept(recipe, point, arms.get(point)) for point in order]


def _with_starts(point: Point) -> Iterator[Point]:
    for prefix in point.chain.prefixes:
        yield Point(prefix, point.weights)
    yield point


def _swept(recipe: StudyRecipe, point: Point, named: NamedArm | None) -> SweptPoint:
    own = named.arm.learning_rates if named else ()
    rates: Sequence[float] = own or default_rates(recipe, point)
    return SweptPoint(named.name if named else point.slug, point, tuple(sorted(rates)), named is not None)


def default_rates(recipe: StudyRecipe, point: Point) -> tuple[float, ...]:
    """The learning rates of a point's last method for its kind of weights."""
    rates: tuple[float, ...] = getattr(recipe.methods[point.chain.last.method].learning_rates, point.kind)
    return rates
