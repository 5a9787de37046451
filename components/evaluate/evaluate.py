"""Evaluate one model on the benchmarks."""

import math
import os
from pathlib import Path

from components.evaluate.evaluation import Evaluation, finish_without_scores
from components.evaluate.questions import read_questions
from components.evaluate.settings import EvaluationSettings
from components.evaluate.step import EVALUATION, STEP
from components.models.generators.asked_model import asked_parent
from components.models.not_finite import NotFiniteError
from components.models.offline import stay_offline
from components.models.reference import divergence_of, local_model
from components.models.stored.check_stored import require_complete
from components.models.stored.stored_model import read_folder
from components.shared.errors import ModelError
from components.shared.log import say
from components.shared.outputs.divergence import Divergence, has_diverged, read_divergence
from components.shared.outputs.library import Library
from components.shared.outputs.manifest import Manifest, Parent
from components.shared.outputs.output import Output


def evaluate_model(
    library: Library, settings: EvaluationSettings, benchmarks: Manifest, model: str, name: str
) -> Manifest:
    """Ask a model all questions, and score its answers.

    Args:
        library: where outputs are stored.
        settings: the benchmarks, and how the model answers.
        benchmarks: Question rows, as `collect` imported them.
        model: reference of the model; empty where the settings name an endpoint, which answers in place of files.
        name: the model's name, for the log. It is not in the cache key: names of one model share its evaluation.

    Returns:
        The manifest of the evaluation; its parents are `model` and `benchmarks`.

    Raises:
        InputError: no model is named, or a benchmark in the settings has no rows.
        ModelError: the model cannot be loaded, or lacks a chat template; or its training diverged or its logits are
            not finite, and the settings do not take that for a result.

    Where they do, the evaluation then holds `diverged.json` in place of scores.
    """
    output = Output(library, EVALUATION, settings, {"model": model_parent(settings, model), "benchmarks": benchmarks})
    if output.manifest() is not None:
        say(STEP.name, f"{name} is already evaluated")

    def work() -> Manifest:
        divergence = divergence_of(model) if _may_diverge(settings) else None
        if divergence is not None:
            say(STEP.name, f"{name} is not asked: its training diverged, {divergence.problem}")
            return finish_without_scores(output, settings, divergence)
        questions = read_questions(library, benchmarks, settings.benchmarks, settings.asks)
        folder = None if settings.asks_endpoint else _folder(settings, model, name)
        _prepare_libraries()
        try:
            return Evaluation(output, settings, name, folder, questions).run()
        except NotFiniteError as error:
            if not _may_diverge(settings):
                raise
            say(STEP.name, f"{name} has no scores, as if its training had diverged: {error.problem}")
            found = Divergence(training=output.parents["model"].address, step=None, problem=error.problem)
            return finish_without_scores(output, settings, found)

    # Another name of the same model, or another run, may be evaluating it: the result is shared.
    manifest = output.made(work, wait_seconds=math.inf)
    _require_scores(library, settings, manifest)
    return manifest


def model_parent(settings: EvaluationSettings, model: str) -> Parent:
    """The model as an input of the evaluation. Raises InputError and ModelError."""
    return asked_parent(settings.generator, model, "evaluate", allow_pickled=settings.allow_pickled_weights)


def _may_diverge(settings: EvaluationSettings) -> bool:
    """Whether a model without finite logits has a complete evaluation; an endpoint is never one."""
    return settings.on_divergence == "finish" and not settings.asks_endpoint


def _require_scores(library: Library, settings: EvaluationSettings, manifest: Manifest) -> None:
    """Refuse an evaluation without scores, made for a study, where these settings do not take that for a result."""
    if has_diverged(manifest) and settings.on_divergence == "fail":
        found = read_divergence(library, manifest)
        raise ModelError(
            f"the evaluation at {manifest.address} has no scores: {found.problem}",
            rule="what a training that diverged has made, or a model whose logits are not finite, cannot be scored",
            remedy="lower the learning_rate of the training",
        )


def _folder(settings: EvaluationSettings, model: str, name: str) -> Path:
    """The folder of the model on this machine. Raises ModelError when its files are not complete."""
    folder = local_model(model, settings.allow_pickled_weights)
    require_complete(read_folder(folder, name))
    return folder


def _prepare_libraries() -> None:
    """Disable the network and progress bars before the harness is imported (tqdm reads this at import)."""
    stay_offline()
    os.environ.setdefault("TQDM_DISABLE", "1")
