"""Evaluate every model in one harness, and compare each with the base."""

import json
import os
from collections.abc import Mapping
from functools import cache, partial
from pathlib import Path

from components.evaluate.benchmarks.registry import BENCHMARKS
from components.evaluate.compare import compare_scores, holm
from components.evaluate.evaluation import CONTENT as EVALUATION
from components.evaluate.evaluation import SAMPLES, SCORES, STEP, VERSION, Evaluation
from components.evaluate.parts import Answers, score_part
from components.evaluate.questions import QuestionSet, read_questions
from components.evaluate.settings import BASE, EvaluateSettings
from components.models.offline import stay_offline
from components.models.reference import as_parent, local_model
from components.shared.errors import InputError
from components.shared.log import say
from components.shared.manifest import Manifest, Parent
from components.shared.output import Output
from components.shared.rows import Comparison, ComparisonTable, Sample, Score, Variant
from components.shared.shards import read_bytes, read_rows

CONTENT = "comparison/1"
TABLE = "comparison.json"


def evaluate_models(root: str, settings: EvaluateSettings, benchmarks: Manifest, models: Mapping[str, str]) -> Manifest:
    """Evaluate all models and compare each with the base on the same questions.

    Args:
        root: the store's root URI.
        settings: benchmarks, how models answer, and how they are compared.
        benchmarks: Question rows, as `collect` imported them.
        models: references by name; `base` is what the others are compared with.

    Returns:
        The comparison's manifest; its parents are the evaluations by the models' names.

    Raises:
        InputError: there is no base, or a benchmark of the settings is not among the rows.
        ModelError: a model cannot be loaded, or has no chat template.
    """
    _require_base(models)
    # Kubeflow hands over a dict in no order of its own: the base first, then by name.
    models = {name: models[name] for name in sorted(models, key=lambda name: (name != BASE, name))}
    pickled = settings.allow_pickled_weights
    parents = {name: as_parent(reference, pickled) for name, reference in models.items()}
    evaluations = _evaluate(root, settings, benchmarks, models, parents)
    output = Output(root, STEP, VERSION, settings, evaluations)
    if (manifest := output.manifest()) is not None:
        return manifest
    with output.writing():
        table = _table(root, settings, models, parents, evaluations)
        output.write_json(TABLE, table)
        return output.finish(CONTENT, _counts(table, evaluations))


def read_table(root: str, manifest: Manifest) -> ComparisonTable:
    """The table of a comparison."""
    return ComparisonTable.model_validate_json(read_bytes(root, manifest, TABLE))


def _require_base(models: Mapping[str, str]) -> None:
    if BASE not in models:
        raise InputError(
            f"no model is named {BASE!r}",
            rule="every model is compared with the one it came from, which is named base",
            allowed=sorted(models),
            remedy=f"give the student as {BASE}",
        )


def _evaluate(
    root: str,
    settings: EvaluateSettings,
    benchmarks: Manifest,
    models: Mapping[str, str],
    parents: Mapping[str, Parent],
) -> dict[str, Manifest]:
    """The evaluations by model; those that are there already are not made again."""
    outputs = {
        name: Output(root, STEP, VERSION, settings.evaluation, {"model": parent, "benchmarks": benchmarks})
        for name, parent in parents.items()
    }
    done = {name: manifest for name, output in outputs.items() if (manifest := output.manifest()) is not None}
    missing = [name for name in models if name not in done]
    if done:
        say(STEP, f"evaluated before: {', '.join(done)}")
    if missing:
        questions = read_questions(root, benchmarks, settings.benchmarks)
        folders = {name: local_model(models[name], settings.allow_pickled_weights) for name in missing}
        _prepare_libraries()
        for name in missing:
            done[name] = _evaluate_one(outputs[name], settings, name, folders[name], questions)
    return {name: done[name] for name in models}


def _evaluate_one(
    output: Output, settings: EvaluateSettings, name: str, folder: Path, questions: dict[str, QuestionSet]
) -> Manifest:
    # Another name may stand for the same model, whose evaluation then lies here by now.
    if (manifest := output.manifest()) is not None:
        return manifest
    return Evaluation(output, settings.evaluation, name, folder, questions).run()


def _prepare_libraries() -> None:
    """Before the harness is imported: no network, and none of its progress bars (tqdm reads this when imported)."""
    stay_offline()
    os.environ.setdefault("TQDM_DISABLE", "1")


def _table(
    root: str,
    settings: EvaluateSettings,
    models: Mapping[str, str],
    parents: Mapping[str, Parent],
    evaluations: Mapping[str, Manifest],
) -> ComparisonTable:
    answers = {name: cache(partial(_read_scores, root, evaluations[name])) for name in models}
    against = {name: _against_base(settings, evaluations, answers, name) for name in models if name != BASE}
    corrected = _corrected(settings, against)
    whole = {name: _whole_scores(root, evaluations[name]) for name in models}
    variants = tuple(
        Variant(
            name=name,
            reference=reference,
            digest=parents[name].digest,
            scores=tuple(score for score in whole[name] if score.metric == BENCHMARKS[score.benchmark].metric),
            readings=tuple(score for score in whole[name] if score.metric != BENCHMARKS[score.benchmark].metric),
            against_base=corrected.get(name, ()),
            selection=score_part("selection", settings, answers[name], _base_of(name, answers)),
            confirmation=score_part("confirmation", settings, answers[name], _base_of(name, answers)),
        )
        for name, reference in models.items()
    )
    return ComparisonTable(base=BASE, variants=variants)


def _base_of(name: str, answers: Mapping[str, Answers]) -> Answers | None:
    return None if name == BASE else answers[BASE]


def _read_scores(root: str, evaluation: Manifest, benchmark: str) -> list[tuple[str, float]]:
    """Each question's id and score; the answers' texts stay in the store."""
    rows = read_rows(root, evaluation, Sample, f"{SAMPLES}/{benchmark}")
    return [(sample.id, sample.score) for sample in rows]


def _whole_scores(root: str, evaluation: Manifest) -> list[Score]:
    """A model's scores on whole benchmarks; those of subjects stay in its evaluation."""
    scores = [Score.model_validate(row) for row in json.loads(read_bytes(root, evaluation, SCORES))]
    return [score for score in scores if "/" not in score.benchmark]


def _against_base(
    settings: EvaluateSettings, evaluations: Mapping[str, Manifest], answers: Mapping[str, Answers], name: str
) -> list[Comparison]:
    comparisons = []
    for benchmark in settings.benchmarks:
        ours, theirs = (answers[model](benchmark.name) for model in (name, BASE))
        if [question for question, _ in ours] != [question for question, _ in theirs]:
            raise InputError(
                f"{evaluations[name].address} and {evaluations[BASE].address} hold other questions of {benchmark.name}",
                rule=f"models are compared on the same questions ({EVALUATION})",
                remedy="delete the manifest of both evaluations and run again",
            )
        pair = [score for _, score in ours], [score for _, score in theirs]
        comparisons.append(compare_scores(benchmark.name, *pair, settings.resamples, settings.seed))
    return comparisons


def _corrected(
    settings: EvaluateSettings, against: Mapping[str, list[Comparison]]
) -> dict[str, tuple[Comparison, ...]]:
    """The comparisons by model, with p-values corrected within each benchmark when the settings say so."""
    if settings.correction == "none":
        return {name: tuple(comparisons) for name, comparisons in against.items()}
    columns = [
        holm({name: comparisons[index].p_value for name, comparisons in against.items()})
        for index in range(len(settings.benchmarks))
    ]
    return {
        name: tuple(
            comparison.model_copy(update={"p_value": column[name]})
            for comparison, column in zip(comparisons, columns, strict=True)
        )
        for name, comparisons in against.items()
    }


def _counts(table: ComparisonTable, evaluations: Mapping[str, Manifest]) -> dict[str, float]:
    """Each model's score on each benchmark, and what was asked."""
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
    for name in ("questions", "truncated_prompts", "control_text_prompts"):
        counts[name] = sum(manifest.counts[name] for manifest in distinct)
    return {"models": len(table.variants), **counts}
