"""The sweep of an arm's learning rates on validation, and the rate that was chosen."""

from components.analyse.settings import AnalysedArm
from components.analyse.study.runs import StudyRuns
from components.analyse.study_schema import SweepFacts
from components.shared.scores import mean


def describe_sweep(runs: StudyRuns, arm: AnalysedArm) -> tuple[SweepFacts, ...]:
    """Every rate with the mean score of each seed on the primary benchmark's validation part."""
    chosen = chosen_rate(runs, arm)
    return tuple(_facts(runs, arm, rate, rate == chosen) for rate in sorted(arm.rates, key=float))


def chosen_rate(runs: StudyRuns, arm: AnalysedArm) -> str | None:
    """The rate whose models were tested; without tests, the one that validation prefers.

    Tests whose keys name no rate are recognised by their models: validation evaluated the same ones.
    """
    if named := runs.rate_in_key(arm):
        return named
    tested = {seed: model.model.digest for seed, model in runs.test(arm).items()}
    fitting = [rate for rate in arm.rates if _holds_models(runs, arm, rate, tested)] if tested else []
    preferred = preferred_rate(runs, arm)
    return fitting[0] if fitting and preferred not in fitting else preferred


def preferred_rate(runs: StudyRuns, arm: AnalysedArm) -> str | None:
    """The rate with the best mean over seeds on validation, of those that never diverged; of equal ones the smaller."""
    found = {rate: _mean(runs, arm, rate) for rate in sorted(arm.rates, key=float)}
    means = {rate: value for rate, value in found.items() if value is not None}
    return max(means, key=lambda rate: means[rate]) if means else None


def validation_mean(runs: StudyRuns, arm: AnalysedArm) -> float | None:
    """The mean on validation at the chosen rate."""
    rate = chosen_rate(runs, arm)
    return _mean(runs, arm, rate) if rate else None


def base_validation_mean(runs: StudyRuns) -> float | None:
    """The base's mean on validation, if it was evaluated there."""
    base = runs.base_validation
    return mean([score for _, score in base.answers(runs.settings.benchmark)]) if base else None


def _facts(runs: StudyRuns, arm: AnalysedArm, rate: str, chosen: bool) -> SweepFacts:
    return SweepFacts(
        rate=rate,
        by_seed=_scores(runs, arm, rate),
        mean=_mean(runs, arm, rate),
        diverged=runs.diverged(arm, rate),
        chosen=chosen,
    )


def _mean(runs: StudyRuns, arm: AnalysedArm, rate: str) -> float | None:
    """The mean over the seeds; None without any, and where one diverged: means over different seeds are no curve."""
    scores = _scores(runs, arm, rate)
    return mean(list(scores.values())) if scores and not runs.diverged(arm, rate) else None


def _scores(runs: StudyRuns, arm: AnalysedArm, rate: str) -> dict[int, float]:
    benchmark = runs.settings.benchmark
    models = runs.validation(arm, rate)
    return {seed: mean([score for _, score in model.answers(benchmark)]) for seed, model in models.items()}


def _holds_models(runs: StudyRuns, arm: AnalysedArm, rate: str, tested: dict[int, str]) -> bool:
    found = {seed: model.model.digest for seed, model in runs.validation(arm, rate).items()}
    shared = tested.keys() & found.keys()
    return bool(shared) and all(tested[seed] == found[seed] for seed in shared)
