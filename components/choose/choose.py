"""Choose a learning rate by the scores of its models on the validation part."""

from collections.abc import Mapping, Sequence
from statistics import fmean

from components.choose.document import RateChoice, TriedRate
from components.choose.settings import ChooseSettings, key_of
from components.choose.step import CHOICE
from components.shared.errors import InputError
from components.shared.outputs.compared_model import MODEL, ComparedModel, require_evaluation
from components.shared.outputs.divergence import has_diverged
from components.shared.outputs.library import Library
from components.shared.outputs.manifest import Manifest, Parent
from components.shared.outputs.output import Output
from components.shared.parse_json import parse_json
from components.shared.rows import Score
from components.shared.text.counted import counted

DOCUMENT = "choice.json"
PART = "validation"
FEWEST_RATES = 2
"""With only one left after others diverged, nothing has been chosen: that rate may be as bad as those."""
WAIT_SECONDS = 600.0
"""Longest wait for the task of another seed, which makes the same choice at the same time."""


def choose_rate(library: Library, settings: ChooseSettings, evaluations: Mapping[str, Manifest]) -> Manifest:
    """Choose the learning rate with the best mean score over the seeds; of equal ones the smallest.

    A rate with a training that diverged is out, whatever its other seeds score.

    Args:
        library: where outputs are stored.
        settings: the benchmark, and which rates and seeds there are.
        evaluations: on the part validation, by `RATE/SEED`.

    Returns:
        The manifest of `choice.json`; its parents are the evaluations and their models.

    Raises:
        InputError: an evaluation is missing or there is one too many, it is not an evaluation on the part validation,
            or it lacks the benchmark; or fewer than two rates are left, as the others diverged.
    """
    _require_all(settings, evaluations)
    # Two models may give the same answers, so evaluations alone do not tell whose they are.
    parents = {f"{MODEL}/{key}": evaluation.parents[MODEL] for key, evaluation in evaluations.items()}
    inputs: dict[str, Manifest | Parent] = {**evaluations, **parents}
    output = Output(library, CHOICE, settings, inputs)

    def work() -> Manifest:
        models = {key: ComparedModel(library, key, evaluations[key]) for key in settings.sweep}
        _require_validation(models)
        scores = {key: _score(settings, model) for key, model in models.items() if not has_diverged(model.manifest)}
        choice = _choice(settings, scores, evaluations)
        output.write_json(DOCUMENT, choice)
        return output.finish(_counts(choice))

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


def _counts(choice: RateChoice) -> dict[str, float]:
    return {
        "rate": choice.rate,
        "rates": len(choice.tried),
        "rates_diverged": sum(bool(one.diverged) for one in choice.tried),
        "at_edge": int(choice.at_edge),
    }


def _choice(settings: ChooseSettings, scores: Mapping[str, Score], evaluations: Mapping[str, Manifest]) -> RateChoice:
    tried = tuple(_tried(settings, rate, scores) for rate in sorted(settings.rates))
    best = _best(tried)
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


def _best(tried: Sequence[TriedRate]) -> TriedRate:
    """The rate with the best mean. Raises InputError where divergence leaves too few to choose from."""
    means = {one.rate: one.mean for one in tried if one.mean is not None}
    if len(means) < min(FEWEST_RATES, len(tried)):
        out = ", ".join(f"{one.rate:g}" for one in tried if one.diverged)
        raise InputError(
            f"of {counted(len(tried), 'learning rate')}, {len(tried) - len(means)} diverged: {out}",
            rule=f"a rate is chosen among at least {FEWEST_RATES} that stay finite with every seed",
            remedy="try smaller learning rates",
        )
    return max((one for one in tried if one.rate in means), key=lambda one: (means[one.rate], -one.rate))


def _tried(settings: ChooseSettings, rate: float, scores: Mapping[str, Score]) -> TriedRate:
    keys = {seed: key_of(rate, seed) for seed in settings.seeds}
    by_seed = {str(seed): scores[key].value for seed, key in keys.items() if key in scores}
    diverged = tuple(seed for seed, key in keys.items() if key not in scores)
    mean = None if diverged else fmean(by_seed.values())
    return TriedRate(rate=rate, mean=mean, by_seed=by_seed, diverged=diverged)


def _require_validation(models: Mapping[str, ComparedModel]) -> None:
    for model in models.values():
        if model.facts.part != PART:
            raise InputError(
                f"{model.name}: {model.manifest.address} is an evaluation on the part {model.facts.part!r}",
                rule="what is judged on the part test must not be chosen by it",
                allowed=[PART],
                remedy=f"evaluate with part: {PART}",
            )


def _score(settings: ChooseSettings, model: ComparedModel) -> Score:
    """The score on the benchmark that decides, by its metric."""
    where, facts = model.manifest.address, model.facts
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
        require_evaluation(key, evaluation, may_have_diverged=True)


def summarise(library: Library, manifest: Manifest) -> str:
    """The curve of the sweep, as Markdown."""
    choice = read_choice(library, manifest)
    rows = [_row(one, one.rate == choice.rate, list(choice.models)) for one in choice.tried]
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


def _row(tried: TriedRate, is_chosen: bool, seeds: Sequence[str]) -> str:
    mean = "diverged" if tried.mean is None else f"{100 * tried.mean:.1f}"
    scores = [f"{100 * tried.by_seed[seed]:.1f}" if seed in tried.by_seed else "diverged" for seed in seeds]
    return f"| {tried.rate:g}{' ★' if is_chosen else ''} | {mean} | {', '.join(scores)} |"
