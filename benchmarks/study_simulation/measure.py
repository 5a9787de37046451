"""What the step analyse's intervals and tests make of simulated studies: coverage, false positives, power."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from benchmarks.study_simulation.simulate import (
    BASE,
    BETTER,
    SECOND_STAGE,
    SINGLE_STAGE,
    Design,
    SimulatedArm,
    simulate,
)
from components.analyse.statistics.beta import FEW_QUESTIONS, beta_interval
from components.analyse.statistics.bootstrap import bootstrap_interval
from components.analyse.statistics.interval import Interval, interval, p_value, smallest_difference
from components.analyse.statistics.sign_flips import sign_flip_test
from components.analyse.statistics.variance import Table, split_variance
from components.shared.paired_tests import holm

ALPHA, POWER = 0.05, 0.8


@dataclass
class Tally:
    """Counts over studies: intervals that hold the truth by kind, false and true discoveries."""

    held: dict[str, list[bool]] = field(default_factory=dict)
    false: dict[str, list[bool]] = field(default_factory=dict)
    found: list[bool] = field(default_factory=list)
    smallest: list[float] = field(default_factory=list)

    def coverage(self, kind: str) -> float:
        """The share of intervals that hold the truth, in per cent."""
        return 100 * float(np.mean(self.held[kind]))

    def rate(self, kind: str) -> float:
        """The share of studies with a false positive, in per cent."""
        return 100 * float(np.mean(self.false[kind]))


@dataclass(frozen=True)
class Pair:
    """An arm against another, or against the base."""

    name: str
    truth: float
    table: Table


def measure(design: Design, studies: int, seed: int, resamples: int) -> Tally:
    """Simulate studies, judge them as the step does, and count.

    Args:
        design: size of the studies.
        studies: how many.
        seed: of the first study's random numbers; the others follow.
        resamples: of the bootstrap; 0 leaves it out.
    """
    tally = Tally()
    for number in range(studies):
        base, arms = simulate(design, np.random.default_rng((seed, number)))
        _judge(tally, base, arms, resamples)
    return tally


def _judge(tally: Tally, base: Table, arms: Mapping[str, SimulatedArm], resamples: int) -> None:
    for arm in arms.values():
        found = split_variance(arm.test)
        made = beta_interval(found, ALPHA) if arm.test.shape[1] < FEW_QUESTIONS else interval(found, ALPHA)
        tally.held.setdefault("arm", []).append(_holds(made, arm.truth))
    against_base, against_best = list(_to_base(base, arms)), list(_to_best(arms))
    for kind, pairs in (("to base", against_base), ("to best", against_best)):
        for pair in pairs:
            tally.held.setdefault(kind, []).append(_holds(interval(split_variance(pair.table), ALPHA), pair.truth))
            if resamples and kind == "to best":
                drawn = bootstrap_interval(pair.table, ALPHA, resamples, seed=0)
                tally.held.setdefault("bootstrap", []).append(_holds(drawn, pair.truth))
    _discover(tally, [*against_base, *against_best])


def _discover(tally: Tally, family: list[Pair]) -> None:
    """Test the family of a study: each arm against the base, and second stages against the best single-stage arm."""
    exact = {pair.name: sign_flip_test(pair.table, 1000, 0) for pair in family}
    judged = {pair.name: max(exact[pair.name], p_value(split_variance(pair.table))) for pair in family}
    corrected = {"family": holm(judged), "exact alone": holm(exact), "uncorrected": judged}
    for kind, values in corrected.items():
        tally.false.setdefault(kind, []).append(any(_is_false(pair) for pair in family if values[pair.name] < ALPHA))
    better = next(pair for pair in family if pair.name == f"{BETTER} to best")
    tally.found.append(judged[better.name] < ALPHA)
    tally.smallest.append(100 * smallest_difference(split_variance(better.table), ALPHA, POWER))


def _is_false(pair: Pair) -> bool:
    """Whether the arms are equal, or differ the other way round."""
    return abs(pair.truth) < 1e-9 or pair.truth * float(pair.table.mean()) < 0


def _to_base(base: Table, arms: Mapping[str, SimulatedArm]) -> Iterator[Pair]:
    for name, arm in arms.items():
        yield Pair(f"{name} to base", arm.truth - BASE, arm.test - base)


def _to_best(arms: Mapping[str, SimulatedArm]) -> Iterator[Pair]:
    """Against the single-stage arm that validation prefers."""
    best = max((arms[name] for name in SINGLE_STAGE), key=lambda arm: arm.validation)
    for name in SECOND_STAGE:
        yield Pair(f"{name} to best", arms[name].truth - best.truth, arms[name].test - best.test)


def _holds(found: Interval, truth: float) -> bool:
    return found[0] <= truth <= found[1]
