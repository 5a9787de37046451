"""What a reader must know before trusting a study: untuned rates, few seeds, arms that failed."""

from collections.abc import Iterator, Sequence
from itertools import pairwise

from components.analyse.settings import AnalyseSettings
from components.analyse.study_schema import ArmFacts
from components.shared.text.counted import counted

FEW_SEEDS = 3
FEW_RATES = 3


def warn(settings: AnalyseSettings, arms: Sequence[ArmFacts]) -> tuple[str, ...]:
    """All warnings, in the order of the arms."""
    return (
        *_about_seeds(settings, arms),
        *_about_rates(arms),
        *(warning for arm in arms for warning in _about_divergence(arm)),
        *(warning for arm in arms for warning in _about_edge(arm)),
        *(warning for arm in arms for warning in _about_preference(arm)),
        *_about_ranks(arms),
    )


def _about_seeds(settings: AnalyseSettings, arms: Sequence[ArmFacts]) -> Iterator[str]:
    if len(settings.seeds) < FEW_SEEDS:
        known = "unknown" if len(settings.seeds) == 1 else "hardly known"
        yield (
            f"{counted(len(settings.seeds), 'seed')}: the noise of training is {known}, and intervals may be too "
            f"narrow; use at least {FEW_SEEDS}"
        )
    for arm in arms:
        if arm.status == "partial" and arm.score is not None:
            yield (
                f"{arm.name} is judged on {len(arm.score.seeds)} of {counted(len(settings.seeds), 'seed')}: missing "
                f"{', '.join(arm.missing)}"
            )
        elif arm.diverged_on_test:
            seeds = _seeds(arm.diverged_on_test)
            yield f"{arm.name} has no score: at {arm.rate} its models diverged on the part test ({seeds})"
        elif arm.status == "failed":
            yield f"{arm.name} failed: missing {', '.join(arm.missing)}"


def _about_rates(arms: Sequence[ArmFacts]) -> Iterator[str]:
    numbers = {len(arm.sweep) for arm in arms}
    if len(numbers) > 1:
        yield (
            "arms have tried different numbers of learning rates ("
            + ", ".join(f"{arm.name} {len(arm.sweep)}" for arm in arms)
            + "): the best of more rates looks better by chance"
        )


def _about_divergence(arm: ArmFacts) -> Iterator[str]:
    """Rates that are out, and whether the arm could choose without them."""
    out = [point for point in arm.sweep if point.diverged]
    if out:
        rates = ", ".join(f"{point.rate} ({_seeds(point.diverged)})" for point in out)
        left = len(arm.sweep) - len(out)
        tested = arm.status != "failed" or arm.diverged_on_test
        chosen = f"its rate was chosen among the other {left}" if tested else "none was chosen"
        yield f"{arm.name} diverged at {counted(len(out), 'learning rate')}: {rates}; {chosen}"


def _seeds(seeds: Sequence[int]) -> str:
    return f"{'seed' if len(seeds) == 1 else 'seeds'} {', '.join(map(str, seeds))}"


def _about_edge(arm: ArmFacts) -> Iterator[str]:
    """The chosen rate is the smallest or the largest: a better one may be outside."""
    rates = [point.rate for point in arm.sweep]
    if len(rates) < FEW_RATES:
        tried = counted(len(rates), "learning rate")
        yield f"{arm.name} has tried {tried}: it may be untuned; try at least {FEW_RATES}"
    elif arm.rate in {rates[0], rates[-1]}:
        end = "smallest" if arm.rate == rates[0] else "largest"
        yield f"{arm.name} chose {arm.rate}, the {end} learning rate tried: a better one may be outside the sweep"


def _about_preference(arm: ArmFacts) -> Iterator[str]:
    """The tested rate is not the one with the best mean that is known here."""
    means = {point.rate: point.mean for point in arm.sweep if point.mean is not None}
    best = max(means, key=lambda rate: means[rate], default=None)
    if arm.rate is not None and best is not None and means.get(arm.rate, 0.0) < means[best]:
        yield f"{arm.name} was tested at {arm.rate}, though validation prefers {best}"


def _about_ranks(arms: Sequence[ArmFacts]) -> Iterator[str]:
    """A higher rank can represent whatever a lower one can, so where it is worse, its rate is probably untuned."""
    for stages in dict.fromkeys(arm.stages for arm in arms):
        ranked = [arm for arm in arms if arm.stages == stages and arm.lora_rank and arm.score and arm.rate]
        for lower, higher in pairwise(sorted(ranked, key=lambda arm: arm.lora_rank or 0)):
            assert lower.score and higher.score
            behind = lower.score.mean - higher.score.mean
            if behind > 0 and higher.lora_rank != lower.lora_rank:
                yield (
                    f"{higher.name} (rank {higher.lora_rank}, at {higher.rate}) is {100 * behind:.1f} points worse "
                    f"than {lower.name} (rank {lower.lora_rank}, at {lower.rate}), each at its own best rate: a sign "
                    "of an untuned learning rate"
                )
