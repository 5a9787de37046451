"""Choose a learning rate by the scores of its models on the validation part."""

from collections.abc import Mapping
from statistics import fmean

from components.choose.document import RateChoice, TriedRate
from components.choose.settings import ChooseSettings, key_of
from components.choose.step import CHOICE
from components.shared.errors import InputError
from components.shared.outputs.compared_model import MODEL, ComparedModel, require_evaluation
from components.shared.outputs.library import Library
from components.shared.outputs.manifest import Manifest, Parent
from components.shared.outputs.output import Output
from components.shared.parse_json import parse_json
from components.shared.rows import Score

DOCUMENT = "choice.json"
PART = "validation"
WAIT_SECONDS = 600.0
"""Longest wait for the task of another seed, which makes the same choice at the same time."""


def choose_rate(library: Library, settings: ChooseSettings, evaluations: Mapping[str, Manifest]) -> Manifest:
    """Choose the learning rate with the best mean score over the seeds; of equal ones the smallest.

    Args:
        library: where outputs are stored.
        settings: the benchmark, and which rates and seeds there are.
        evaluations: on the part validation, by `RATE/SEED`.

    Returns:
        The manifest of `choice.json`; its parents are the evaluations and their models.

    Raises:
        InputError: an evaluation is missing or there is one too many, it is not an evaluation on the part validation,
            or it lacks the benchmark.
    """
    _require_all(settings, evaluations)
    # Two models may give the same answers, so evaluations alone do not tell whose they are.
    parents = {f"{MODEL}/{key}": evaluation.parents[MODEL] for key, evaluation in evaluations.items()}
    inputs: dict[str, Manifest | Parent] = {**evaluations, **parents}
    output = Output(library, CHOICE, settings, inputs)

    def work() -> Manifest:
        models = {key: ComparedModel(library, key, evaluations[key]) for key in settings.sweep}
        scores = {key: _score(settings, model) for key, model in models.items()}
        choice = _choice(settings, scores, evaluations)
        output.write_json(DOCUMENT, choice)
        return output.finish({"rate": choice.rate, "rates": len(choice.tried), "at_edge": int(choice.at_edge)})

    return output.made(work, wait_seconds=WAIT_SECONDS)


def read_choice(library: Library, manifest: Manifest) -> RateChoice:
    """The document of a choice. Raises DamagedError."""
    data = library.read_bytes(manifest, DOCUMENT)
    return parse_json(data, RateChoice, f"{manifest.address}/{DOCUMENT}", "run the choose step again")


def model_of(library: Library, choice: RateChoice, seed: int) -> str:
    """The reference of the chosen model of a seed. Raises InputError."""
    if str(seed) not in choice.models:
        raise InputError(
            f"there is no model with seed {seed}",
            rule="a choice is made over all seeds, and each of them has a model",
            allowed=list(choice.models),
            remedy="add the seed to the settings, and its evaluations to the inputs",
        )
    return library.uri(choice.models[str(seed)])


def _choice(settings: ChooseSettings, scores: Mapping[str, Score], evaluations: Mapping[str, Manifest]) -> RateChoice:
    tried = tuple(_tried(settings, rate, scores) for rate in sorted(settings.rates))
    best = max(tried, key=lambda one: (one.mean, -one.rate))
    models = {str(seed): evaluations[key_of(best.rate, seed)].parents[MODEL].address for seed in settings.seeds}
    first = next(iter(scores.values()))
    return RateChoice(
        benchmark=first.benchmark,
        metric=first.metric,
        rate=best.rate,
        tried=tried,
        models=models,
        at_edge=best.rate in (tried[0].rate, tried[-1].rate),
    )


def _tried(settings: ChooseSettings, rate: float, scores: Mapping[str, Score]) -> TriedRate:
    by_seed = {str(seed): scores[key_of(rate, seed)].value for seed in settings.seeds}
    return TriedRate(rate=rate, mean=fmean(by_seed.values()), by_seed=by_seed)


def _score(settings: ChooseSettings, model: ComparedModel) -> Score:
    """The score on the benchmark that decides, by its metric."""
    where, facts = model.manifest.address, model.facts
    if facts.part != PART:
        raise InputError(
            f"{model.name}: {where} is an evaluation on the part {facts.part!r}",
            rule="what is judged on the part test must not be chosen by it",
            allowed=[PART],
            remedy=f"evaluate with part: {PART}",
        )
    metrics = {benchmark.name: benchmark.metric for benchmark in facts.benchmarks}
    for score in model.scores:
        if score.benchmark == settings.benchmark and score.metric == metrics.get(settings.benchmark):
            return score
    raise InputError(
        f"{model.name}: {where} has no score on {settings.benchmark!r}",
        rule="a rate is chosen by its score on one of the benchmarks that were asked",
        allowed=list(metrics),
        remedy="correct the benchmark, or ask it on the part validation",
    )


def _require_all(settings: ChooseSettings, evaluations: Mapping[str, Manifest]) -> None:
    missing, more = sorted(settings.sweep.keys() - evaluations), sorted(evaluations.keys() - settings.sweep.keys())
    if missing or more:
        what = f"no evaluation {missing[0]!r}" if missing else f"an evaluation {more[0]!r} too many"
        raise InputError(
            f"there is {what}",
            rule="a rate is chosen from a complete sweep: means over different seeds cannot be compared",
            allowed=list(settings.sweep),
            remedy="pass the evaluation of every rate and seed as RATE/SEED",
        )
    for key, evaluation in evaluations.items():
        require_evaluation(key, evaluation)


def summarise(library: Library, manifest: Manifest) -> str:
    """The curve of the sweep, as Markdown."""
    choice = read_choice(library, manifest)
    rows = [
        f"| {one.rate:g}{' ★' if one.rate == choice.rate else ''} | {100 * one.mean:.1f} | "
        f"{', '.join(f'{100 * value:.1f}' for value in one.by_seed.values())} |"
        for one in choice.tried
    ]
    edge = [
        "",
        "The chosen rate is the smallest or the largest one tried: a better one may lie outside the sweep.",
    ]
    return "\n".join(
        [
            f"# Learning rate {choice.rate:g}",
            "",
            f"By the mean over the seeds of {choice.metric} on {choice.benchmark}, part {PART}, in percent.",
            "",
            f"| rate | mean | seeds {', '.join(choice.models)} |",
            "|---|---|---|",
            *rows,
            *(edge if choice.at_edge else []),
            "",
        ]
    )
