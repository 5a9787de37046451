"""Two parts of each benchmark's questions: the best model is chosen on one and judged on the other.

The best of several scores is above its own mean (the winner's curse: Capen, Clapp and Campbell 1971, doi
10.2118/2993-PA), so a model that was chosen by a score must not be judged by it. A question's part is a hash of the
benchmark and the question's id: the same in every run, for every model and in any order.
"""

import hashlib
from collections.abc import Callable, Sequence
from typing import Literal

from components.evaluate.benchmarks.registry import BENCHMARKS
from components.evaluate.compare import compare_scores
from components.evaluate.score import score_values
from components.evaluate.settings import EvaluateSettings
from components.shared.rows import PartScores

Part = Literal["selection", "confirmation"]
Answers = Callable[[str], Sequence[tuple[str, float]]]
"""By a benchmark's name, its questions' ids and a model's scores."""


def part_of(benchmark: str, question: str, selection_share: float) -> Part:
    """The part that a question belongs to."""
    digest = hashlib.blake2b(f"{benchmark}/{question}".encode(), digest_size=8).digest()
    return "selection" if int.from_bytes(digest) < selection_share * 2**64 else "confirmation"


def score_part(part: Part, settings: EvaluateSettings, ours: Answers, base: Answers | None) -> PartScores:
    """A model's scores on one part, and its differences to the base; `base` is None for the base itself."""
    scores, against = [], []
    for benchmark in (each.name for each in settings.benchmarks):
        mine, theirs = (_values(part, benchmark, settings, answers) for answers in (ours, base or ours))
        if not mine:
            continue
        scores.append(score_values(benchmark, BENCHMARKS[benchmark].metric, mine))
        if base is not None:
            against.append(compare_scores(benchmark, mine, theirs, settings.resamples, settings.seed))
    return PartScores(scores=tuple(scores), against_base=tuple(against))


def _values(part: Part, benchmark: str, settings: EvaluateSettings, answers: Answers) -> list[float]:
    share = settings.selection_share
    return [score for question, score in answers(benchmark) if part_of(benchmark, question, share) == part]
