"""Means over seeds and questions, of scores and of paired differences, with everything that is reported of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from components.analyse.settings import BASE, AnalyseSettings
from components.analyse.statistics.beta import FEW_QUESTIONS, beta_interval
from components.analyse.statistics.bootstrap import bootstrap_interval
from components.analyse.statistics.interval import interval, p_value, smallest_difference
from components.analyse.statistics.sign_flips import sign_flip_test
from components.analyse.statistics.variance import Table, split_variance
from components.analyse.study.runs import table_of
from components.analyse.study_schema import DifferenceFacts, MeanFacts
from components.shared.outputs.compared_model import ComparedModel

Models = Mapping[int, ComparedModel]
"""The models of an arm by seed."""


def describe_scores(settings: AnalyseSettings, models: Models, benchmark: str) -> MeanFacts:
    """The mean score of an arm."""
    table = table_of(list(models.values()), benchmark)
    return MeanFacts.model_validate(_facts(settings, table, benchmark, tuple(models), is_share=True))


def describe_base(settings: AnalyseSettings, base: ComparedModel, benchmark: str) -> MeanFacts:
    """The score of the base, which has no seeds."""
    return MeanFacts.model_validate(_facts(settings, table_of([base], benchmark), benchmark, (), is_share=True))


@dataclass(frozen=True)
class PairTable:
    """The differences of an arm to another one, or to the base.

    Attributes:
        against: the other's name.
        benchmark: the questions.
        seeds: those that both have.
        table: shape (seeds, questions).
    """

    against: str
    benchmark: str
    seeds: tuple[int, ...]
    table: Table


def pair_with_base(ours: Models, base: ComparedModel, benchmark: str) -> PairTable:
    """Every seed's scores minus the base's on the same questions."""
    table = table_of(list(ours.values()), benchmark) - table_of([base], benchmark)
    return PairTable(BASE, benchmark, tuple(ours), table)


def pair_with_arm(ours: Models, theirs: Models, benchmark: str, against: str) -> PairTable | None:
    """An arm minus another, by seed and question, on the seeds that both have; None where they share none."""
    seeds = tuple(seed for seed in ours if seed in theirs)
    if not seeds:
        return None
    first, second = (table_of([models[seed] for seed in seeds], benchmark) for models in (ours, theirs))
    return PairTable(against, benchmark, seeds, first - second)


def describe_difference(settings: AnalyseSettings, pair: PairTable, tests: int = 0) -> DifferenceFacts:
    """The mean difference, its p-value uncorrected; `tests` is the size of its family, 0 for one that is not tested."""
    found = split_variance(pair.table)
    exact = sign_flip_test(pair.table, settings.resamples, settings.seed)

    def smallest(level: float) -> float:
        return smallest_difference(found, level, settings.power)

    return DifferenceFacts.model_validate(
        _facts(settings, pair.table, pair.benchmark, pair.seeds, is_share=False)
        | {
            "against": pair.against,
            "exact_p_value": exact,
            "p_value": max(exact, p_value(found)),
            "family": None,
            "corrected_p_value": None,
            "smallest": smallest(settings.alpha),
            "smallest_in_family": smallest(settings.alpha / tests) if tests else None,
            "verdict": "unclear",
        }
    )


def _facts(
    settings: AnalyseSettings, table: Table, benchmark: str, seeds: tuple[int, ...], *, is_share: bool
) -> dict[str, Any]:
    found = split_variance(table)
    few = is_share and table.shape[1] < FEW_QUESTIONS and bool(np.isin(table, (0.0, 1.0)).all())
    by_seed = table.mean(axis=1)
    return {
        "benchmark": benchmark,
        "seeds": seeds,
        "questions": table.shape[1],
        "mean": found.mean,
        "deviation": float(by_seed.std(ddof=1)) if len(by_seed) > 1 else None,
        "by_seed": tuple(by_seed.tolist()),
        "standard_error": found.standard_error,
        "interval": beta_interval(found, settings.alpha) if few else interval(found, settings.alpha),
        "method": "beta" if few else "two-way",
        "bootstrap": bootstrap_interval(table, settings.alpha, settings.resamples, settings.seed),
        "seed_share": found.of_seeds / found.total if found.total else 0.0,
    }
