"""The scores of models on the two parts of each benchmark: the best model is chosen on one and judged on the other."""

from collections.abc import Callable, Sequence
from typing import Literal

from components.compare.settings import CompareSettings
from components.compare.significance import compare_scores
from components.shared.outputs.question_parts import is_in_first_part
from components.shared.rows import AskedBenchmark, PartScores
from components.shared.scores import score_values

QuestionPart = Literal["selection", "confirmation"]
Answers = Callable[[str], Sequence[tuple[str, float]]]
"""From the name of a benchmark to the ids of its questions, each with the score of a model."""


def part_of(benchmark: str, question: str, selection_share: float) -> QuestionPart:
    """The part that a question belongs to."""
    return "selection" if is_in_first_part(benchmark, question, selection_share) else "confirmation"


def score_part(
    part: QuestionPart,
    benchmarks: Sequence[AskedBenchmark],
    settings: CompareSettings,
    ours: Answers,
    base: Answers | None,
) -> PartScores:
    """The scores of a model on one part, and its differences from the base; `base` is None for the base itself."""
    scores, against = [], []
    for benchmark in benchmarks:
        mine, theirs = (
            _values(part, benchmark.name, settings.selection_share, answers) for answers in (ours, base or ours)
        )
        if not mine:
            continue
        scores.append(score_values(benchmark.name, benchmark.metric, mine))
        if base is not None:
            against.append(compare_scores(benchmark.name, mine, theirs, settings.resamples, settings.seed))
    return PartScores(scores=tuple(scores), against_base=tuple(against))


def _values(part: QuestionPart, benchmark: str, share: float, answers: Answers) -> list[float]:
    return [score for question, score in answers(benchmark) if part_of(benchmark, question, share) == part]
