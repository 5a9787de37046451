"""Puts a study together: every arm with its sweep, scores, differences and compute."""

from collections.abc import Mapping

from components.analyse.settings import BASE, AnalysedArm
from components.analyse.study.compute import describe_compute, describe_total, trainings_of
from components.analyse.study.families import Test, correct, families_of
from components.analyse.study.means import (
    Models,
    PairTable,
    describe_base,
    describe_difference,
    describe_scores,
    pair_with_arm,
    pair_with_base,
)
from components.analyse.study.rates import base_validation_mean, chosen_rate, describe_sweep, validation_mean
from components.analyse.study.runs import StudyRuns
from components.analyse.study.sentences import say_gain
from components.analyse.study.warn import warn
from components.analyse.study_schema import ArmFacts, DifferenceFacts, Study
from components.shared.outputs.library import Library


def judge_study(library: Library, runs: StudyRuns) -> Study:
    """Everything that study.json holds.

    Raises:
        DamagedError: a file is not what its manifest promises.
        InputError: a benchmark has too few questions.
    """
    settings = runs.settings
    best = best_single_stage(runs)
    pairs = _pairs(runs, best)
    families = families_of(settings, list(pairs), BASE)
    sizes = {test: family.size for family in families for test in family.tests}
    found = {test: describe_difference(settings, pair, sizes.get(test, 0)) for test, pair in pairs.items()}
    judged = correct(settings, families, found)
    arms = tuple(_arm(library, runs, arm, best, judged) for arm in settings.arms)
    asked = {benchmark.name: benchmark.words for benchmark in runs.base.facts.benchmarks}
    return Study(
        title=settings.title or "Study",
        run_name=settings.run_name or None,
        recipe_digest=settings.recipe_digest or None,
        benchmark=settings.benchmark,
        asked=asked[settings.benchmark],
        matched=settings.matched,
        alpha=settings.alpha,
        power=settings.power,
        seeds=settings.seeds,
        base=describe_base(settings, runs.base, settings.benchmark),
        base_validation=base_validation_mean(runs),
        base_forgetting=tuple(describe_base(settings, runs.base, name) for name in settings.forgetting),
        best_single_stage=best.name if best else None,
        arms=arms,
        families=families,
        total=describe_total(trainings_of(library, model.model) for model in runs.all_models),
        missing=(*runs.missing(BASE), *(key for arm in arms for key in arm.missing)),
        warnings=warn(settings, arms),
        sentences=tuple(say_gain(settings, arm, best.name if best else None) for arm in arms if len(arm.stages) > 1),
    )


def best_single_stage(runs: StudyRuns) -> AnalysedArm | None:
    """The single-stage arm with the best mean on validation at its chosen rate, among those that were tested.

    Validation chooses it, so its score on other questions is not flattered by the choice.
    """
    means = {
        arm.name: (mean, arm)
        for arm in runs.settings.arms
        if arm.is_single_stage and runs.test(arm) and (mean := validation_mean(runs, arm)) is not None
    }
    return max(means.values(), key=lambda found: found[0])[1] if means else None


def _pairs(runs: StudyRuns, best: AnalysedArm | None) -> dict[Test, PairTable]:
    """Every arm that was tested, against the base and against the best single-stage arm."""
    benchmark = runs.settings.benchmark
    pairs: dict[Test, PairTable] = {}
    for arm in runs.settings.arms:
        models = runs.test(arm)
        if models:
            pairs[arm.name, BASE] = pair_with_base(models, runs.base, benchmark)
        if models and best is not None and arm is not best:
            pair = pair_with_arm(models, runs.test(best), benchmark, best.name)
            pairs |= {(arm.name, best.name): pair} if pair else {}
    return pairs


def _arm(
    library: Library,
    runs: StudyRuns,
    arm: AnalysedArm,
    best: AnalysedArm | None,
    judged: Mapping[Test, DifferenceFacts],
) -> ArmFacts:
    settings, models, missing = runs.settings, runs.test(arm), runs.missing(arm.name)
    return ArmFacts(
        name=arm.name,
        does=arm.does,
        stages=arm.stages,
        lora_rank=arm.lora_rank,
        status="failed" if not models else "partial" if missing else "complete",
        missing=missing,
        diverged_on_test=runs.diverged_on_test(arm),
        rate=chosen_rate(runs, arm),
        sweep=describe_sweep(runs, arm),
        compute=describe_compute([trainings_of(library, model.model) for model in models.values()]),
        score=describe_scores(settings, models, settings.benchmark) if models else None,
        forgetting=tuple(describe_scores(settings, models, name) for name in settings.forgetting if models),
        against_base=judged.get((arm.name, BASE)),
        forgetting_against_base=_forgetting(runs, models),
        against_best=judged.get((arm.name, best.name)) if best else None,
    )


def _forgetting(runs: StudyRuns, models: Models) -> tuple[DifferenceFacts, ...]:
    names = runs.settings.forgetting if models else ()
    return tuple(describe_difference(runs.settings, pair_with_base(models, runs.base, name)) for name in names)
