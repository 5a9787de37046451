"""Compare every evaluated model with the base on the same questions."""

from collections.abc import Mapping, Sequence

from components.compare.parts import score_part
from components.compare.settings import BASE, CompareSettings
from components.compare.significance import compare_scores
from components.compare.step import COMPARISON
from components.shared.errors import InputError
from components.shared.outputs.compared_model import ComparedModel, require_evaluation, require_same_questions
from components.shared.outputs.library import Library
from components.shared.outputs.manifest import Manifest
from components.shared.outputs.output import Output
from components.shared.paired_tests import holm
from components.shared.parse_json import parse_json
from components.shared.rows import Comparison, ComparisonTable, Variant

TABLE = "comparison.json"
SUMMED = ("questions", "truncated_prompts", "control_text_prompts")
"""Counts of evaluations that are added up."""


def compare_models(library: Library, settings: CompareSettings, evaluations: Mapping[str, Manifest]) -> Manifest:
    """Compare evaluated models with the base, question by question.

    Args:
        library: where outputs are stored.
        settings: the tests, and the split of the questions.
        evaluations: by the names of the models; the others are compared with `base`.

    Returns:
        The manifest of the comparison; its parents are the evaluations, by the names of the models.

    Raises:
        InputError: there is no base, an input is not an evaluation, or models were asked other questions.
        DamagedError: a file of an evaluation is not what its manifest promises.
    """
    _require_base(evaluations)
    for name, evaluation in evaluations.items():
        require_evaluation(name, evaluation)
    output = Output(library, COMPARISON, settings, evaluations)

    def work() -> Manifest:
        # Kubeflow passes a dict in arbitrary order: the base comes first, then the others by name.
        names = sorted(evaluations, key=lambda name: (name != BASE, name))
        models = [ComparedModel(library, name, evaluations[name]) for name in names]
        table = _table(settings, models)
        output.write_json(TABLE, table)
        return output.finish(_counts(table, evaluations))

    return output.made(work)


def read_table(library: Library, manifest: Manifest) -> ComparisonTable:
    """The table of a comparison. Raises DamagedError."""
    data = library.read_bytes(manifest, TABLE)
    return parse_json(data, ComparisonTable, f"{manifest.address}/{TABLE}", "run the compare step again")


def _require_base(evaluations: Mapping[str, Manifest]) -> None:
    if BASE not in evaluations:
        raise InputError(
            f"no model is named {BASE!r}",
            rule="every model is compared with the one it was trained from, which must be named base",
            allowed=sorted(evaluations),
            remedy=f"pass the student's evaluation as {BASE}",
        )


def _table(settings: CompareSettings, models: Sequence[ComparedModel]) -> ComparisonTable:
    base, *others = models
    for model in others:
        require_same_questions(model, base)
    against = _corrected(settings, {model.name: _against_base(settings, model, base) for model in others})
    return ComparisonTable(
        base=base.name,
        asked=base.facts.benchmarks,
        variants=tuple(_variant(settings, model, base, against.get(model.name, ())) for model in models),
    )


def _variant(
    settings: CompareSettings, model: ComparedModel, base: ComparedModel, against: tuple[Comparison, ...]
) -> Variant:
    benchmarks = base.facts.benchmarks
    metrics = {benchmark.name: benchmark.metric for benchmark in benchmarks}
    of_base = None if model is base else base.answers
    return Variant(
        name=model.name,
        reference=model.model.address,
        digest=model.model.digest,
        endpoint=model.facts.endpoint,
        scores=tuple(score for score in model.scores if score.metric == metrics[score.benchmark]),
        readings=tuple(score for score in model.scores if score.metric != metrics[score.benchmark]),
        against_base=against,
        selection=score_part("selection", benchmarks, settings, model.answers, of_base),
        confirmation=score_part("confirmation", benchmarks, settings, model.answers, of_base),
    )


def _against_base(settings: CompareSettings, model: ComparedModel, base: ComparedModel) -> list[Comparison]:
    comparisons = []
    for benchmark in base.facts.benchmarks:
        ours, theirs = ([score for _, score in each.answers(benchmark.name)] for each in (model, base))
        comparisons.append(compare_scores(benchmark.name, ours, theirs, settings.resamples, settings.seed))
    return comparisons


def _corrected(settings: CompareSettings, against: Mapping[str, list[Comparison]]) -> dict[str, tuple[Comparison, ...]]:
    """The comparisons by model, with p-values corrected within each benchmark if the settings ask for it."""
    if settings.correction == "none":
        return {name: tuple(comparisons) for name, comparisons in against.items()}
    columns = [
        holm({name: comparison.p_value for name, comparison in zip(against, column, strict=True)})
        for column in zip(*against.values(), strict=True)
    ]
    return {
        name: tuple(
            comparison.model_copy(update={"p_value": column[name]})
            for comparison, column in zip(comparisons, columns, strict=True)
        )
        for name, comparisons in against.items()
    }


def _counts(table: ComparisonTable, evaluations: Mapping[str, Manifest]) -> dict[str, float]:
    """The score of each model on each benchmark, and the numbers of questions and of unusual prompts."""
    counts: dict[str, float] = {
        f"{variant.name}_{score.benchmark}".replace("-", "_"): score.value
        for variant in table.variants
        for score in variant.scores
    } | {
        f"{variant.name}_{score.benchmark}_{score.metric}".replace("-", "_"): score.value
        for variant in table.variants
        for score in variant.readings
    }
    distinct = {manifest.address: manifest for manifest in evaluations.values()}.values()
    for name in SUMMED:
        counts[name] = sum(manifest.counts[name] for manifest in distinct)
    return {"models": len(table.variants), **counts}
