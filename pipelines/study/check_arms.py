"""Checks of the arms of a study: what the plan relies on."""

import re
from collections import Counter
from collections.abc import Iterator

from components.shared.text.counted import counted
from components.train.methods.registry import METHODS
from pipelines.pipeline import NAME_PATTERN
from pipelines.placement.task import Fault
from pipelines.study.arms import Point, point_of
from pipelines.study.plan import BASE
from pipelines.study.points import NamedArm, named_arms, references_of, swept_points
from pipelines.study.recipe import PLANNED, StudyRecipe

FEWEST_RATES = 3
"""With fewer, an untuned rate cannot be told from a bad method."""
NAME_LENGTH = 40
"""Tasks are named `evaluate-NAME-r3-s42`; with the 16 characters of a key they name jobs, which have at most 63."""


def find_arm_faults(recipe: StudyRecipe) -> Iterator[Fault]:
    """The faults of arms, of their compute, and of their names and rates; each group presumes those before it."""
    for group in ((_some, _methods, _settings, _seeds), (_compute,), (_matched, _names, _points, _rates, _schedules)):
        faults = [fault for check in group for fault in check(recipe)]
        yield from faults
        if faults:
            return


def _some(recipe: StudyRecipe) -> Iterator[Fault]:
    if not any(True for _ in recipe.given_arms):
        yield Fault(("arms",), "there is no arm\n    remedy: list arms, or give a grid: {chains: [sft@3, dpo@2]}")


def _methods(recipe: StudyRecipe) -> Iterator[Fault]:
    for location, arm in recipe.given_arms:
        for stage in point_of(arm).chain.stages:
            if stage.method not in recipe.methods:
                yield Fault(
                    location,
                    f"{arm.chain}: unknown method {stage.method!r}\n    allowed: {', '.join(recipe.methods)}",
                )


def _settings(recipe: StudyRecipe) -> Iterator[Fault]:
    for name, method in recipe.methods.items():
        for setting in PLANNED:
            if setting in method.settings.model_fields_set:
                yield Fault(
                    ("methods", name, "settings", setting),
                    f"{setting} is decided by the study\n    rule: epochs are in the chains, rates in learning_rates, "
                    "adapters in the arms' weights, and seeds in seeds; a rate that diverges is out of the "
                    "sweep\n    remedy: leave it out",
                )


def _seeds(recipe: StudyRecipe) -> Iterator[Fault]:
    for place, seed in enumerate(recipe.seeds):
        if seed in recipe.seeds[:place]:
            yield Fault(("seeds", place), f"seed {seed} is there already; list each once")


def _compute(recipe: StudyRecipe) -> Iterator[Fault]:
    """What matching needs: an arm with epochs, and the tokens of each method's epoch."""
    compute = recipe.compute
    points = {arm.name or point_of(arm).slug: (location, point_of(arm)) for location, arm in recipe.given_arms}
    if compute.match == "none":
        for location, point in points.values():
            if point.chain.last.epochs is None:
                yield Fault(
                    location,
                    f"{point.chain}: the last stage lacks its epochs\n    rule: epochs follow from the compute only "
                    f"where compute.match is tokens or flops\n    remedy: write {point.chain}@3, or set compute.match",
                )
        return
    closed = [name for name, (_, point) in points.items() if point.chain.last.epochs is not None]
    if compute.arm not in closed:
        yield Fault(
            ("compute", "arm"),
            f"{compute.arm!r} is not an arm with epochs\n    rule: the others match the compute of this arm"
            f"\n    allowed: {', '.join(closed) or 'none: give the stages of one arm their epochs'}",
        )
    used = dict.fromkeys(stage.method for _, point in points.values() for stage in point.chain.stages)
    for method in used:
        if compute.tokens_per_epoch.get(method, 0) <= 0:
            yield Fault(
                ("compute", "tokens_per_epoch"),
                f"the tokens of an epoch of {method!r} are missing\n    rule: without them the compute of {method} "
                "and of other methods cannot be matched\n    remedy: take `tokens` / epochs from the manifest of a "
                "training, or count the rows; only ratios matter",
            )
        if compute.match == "flops" and _reads_others(recipe, method) and method not in compute.other_tokens_per_epoch:
            yield Fault(
                ("compute", "other_tokens_per_epoch"),
                f"the mismatched responses of {method!r} are missing\n    rule: an epoch of it reads them besides, and "
                "they cost operations\n    remedy: take `kl_tokens` from the manifest of a training",
            )


def _reads_others(recipe: StudyRecipe, name: str) -> bool:
    settings = recipe.methods[name].settings
    return METHODS[settings.method].reads_others(settings)


def _matched(recipe: StudyRecipe) -> Iterator[Fault]:
    """Arms that cannot spend what the others do, since epochs are whole."""
    compute = recipe.compute
    if compute.match == "none":
        return
    references, arms = references_of(recipe), named_arms(recipe)
    budget = next(compute.cost(named.point, references) for named in arms if named.name == compute.arm)
    for named in arms:
        deviation = compute.cost(named.point, references) / budget - 1
        if abs(deviation) > compute.tolerance:
            yield Fault(
                named.location,
                f"{named.point.chain} takes {100 * deviation:+.0f} % against the {compute.match} of {compute.arm}"
                f"\n    rule: at most {100 * compute.tolerance:.0f} % more or less (compute.tolerance)"
                f"\n    remedy: {_nearest(recipe, named, budget)}, raise compute.tolerance, or set compute.match to "
                "none: every measure is shown in any case",
            )


def _nearest(recipe: StudyRecipe, named: NamedArm, budget: float) -> str:
    nearest = recipe.compute.matched(named.point, budget, references_of(recipe))
    if nearest == named.point:
        return f"no epochs of the last stage come nearer: change an earlier one, or the epochs of {recipe.compute.arm}"
    return f"write {nearest.chain}, which comes nearest"


def _names(recipe: StudyRecipe) -> Iterator[Fault]:
    """Names of arms, and of the points that they start from."""
    arms = named_arms(recipe)
    names = Counter(named.name for named in arms)
    for named in arms:
        if not re.fullmatch(NAME_PATTERN, named.name) or len(named.name) > NAME_LENGTH:
            rule = f"1 to {NAME_LENGTH} lower-case letters, digits and -, which is neither first nor last"
            yield Fault(named.location, f"{named.name!r} is not a valid name\n    rule: {rule}\n    remedy: set `name`")
        elif named.name == BASE:
            yield Fault(named.location, f"{BASE!r} is reserved for the student; choose another name")
        elif names[named.name] > 1 and named.arm.name:
            yield Fault(named.location, f"{named.name!r} is the name of {names[named.name]} arms; choose another name")
    points: dict[str, Point] = {}
    for swept in swept_points(recipe):
        other = points.setdefault(swept.name, swept.point)
        if other != swept.point:
            yield Fault(
                ("arms",),
                f"{swept.name!r} would name two things: {_words(other)} and {_words(swept.point)}\n    remedy: give "
                "arms a `name`, and so adapters of one rank that differ in something else: {name: wide, lora: {…}}",
            )


def _words(point: Point) -> str:
    weights = point.weights if isinstance(point.weights, str) else point.weights.model_dump(exclude_unset=True)
    return f"{point.chain} with {weights}"


def _points(recipe: StudyRecipe) -> Iterator[Fault]:
    seen: dict[Point, str] = {}
    for named in named_arms(recipe):
        if named.point in seen:
            yield Fault(
                named.location,
                f"{_words(named.point)} is the arm {seen[named.point]!r} already\n    remedy: leave one of them out",
            )
        seen.setdefault(named.point, named.name)


def _rates(recipe: StudyRecipe) -> Iterator[Fault]:
    """Every arm, and every stage that arms start from, tries as many rates: more tries would be an advantage."""
    swept = swept_points(recipe)
    places = {named.point: named.location for named in named_arms(recipe)}
    counts = Counter(len({f"{rate:g}" for rate in one.rates}) for one in swept)
    wanted = max(FEWEST_RATES, counts.most_common(1)[0][0])
    for one in swept:
        tried, method = len({f"{rate:g}" for rate in one.rates}), one.point.chain.last.method
        where = places.get(one.point, ("methods", method, "learning_rates"))
        if len(one.rates) != tried:
            yield Fault(where, f"{one.name}: a learning rate is listed twice\n    remedy: list each once")
        elif tried < FEWEST_RATES or tried != wanted:
            kind = f"methods.{method}.learning_rates.{one.point.kind}"
            few = f"at least {FEWEST_RATES}, and"
            yield Fault(
                where,
                f"{one.name} tries {counted(tried, 'learning rate')}\n    rule: {few} the same number for every arm "
                "and every stage that arms start from, else the better tuned one wins\n    remedy: list "
                f"{wanted} in {kind}, or in the arm's learning_rates",
            )


def _schedules(recipe: StudyRecipe) -> Iterator[Fault]:
    for swept in swept_points(recipe):
        last = swept.point.chain.last
        schedule = recipe.methods[last.method].schedule_epochs
        if schedule is not None and last.epochs is not None and last.epochs > schedule:
            yield Fault(
                ("methods", last.method, "schedule_epochs"),
                f"{swept.name} trains for {last.epochs} epochs, more than the {schedule} of the schedule"
                f"\n    remedy: raise it to {last.epochs} or leave it out",
            )
