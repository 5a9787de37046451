"""How the student finds a text: rank and surprisal of its tokens, step by step, and their ratio.

The Rank-Surprisal Ratio (arXiv 2601.14249) is the sum of the tokens' ranks, clipped, over the sum of their surprisals
-ln p. It is low where tokens are unlikely, so that there is something to learn, and yet among the first, so that the
student is close to them; texts with a low ratio teach better. As in the authors' code, the ratio is that of the sums
over all tokens, not the mean of the tokens' ratios, which likely tokens would dominate.
"""

import bisect
import itertools
import math
from collections.abc import Sequence
from typing import Any

from components.models.conversation.chat_template import Refusal
from components.models.likelihood.completions import Pair
from components.models.likelihood.likelihood import LikelihoodModel
from components.models.likelihood.row_scorers import TokenScores
from components.shared.rollout_rows import BridgeText, StepLikelihood
from components.shared.scores import mean
from components.shared.text.numbered_steps import step_starts

DECIMALS = 6
LEAST_SURPRISAL = 1e-12
"""In nats; a text that the student is sure of has an arbitrarily large ratio, as in the authors' code."""


def measured(
    student: LikelihoodModel, pairs: Sequence[tuple[Pair, BridgeText]], names: Sequence[str], rank_clip: int
) -> list[BridgeText | Refusal]:
    """The texts with the student's measurements, or why its chat template refuses the conversation.

    Args:
        student: the model.
        pairs: the conversation up to the answer with the text, and the text.
        names: of the problems of the pairs, for messages.
        rank_clip: larger ranks count as this one.

    Raises:
        ModelError: not even one text fits into memory.
        NotFiniteError: a log-probability of a text is infinite or NaN.
    """
    made = student.maker.make([pair for pair, _ in pairs])
    named = [(one.row, name) for one, name in zip(made, names, strict=True) if not isinstance(one, Refusal)]
    scores = iter(student.rows.tokens([row for row, _ in named], [name for _, name in named]))
    return [
        one if isinstance(one, Refusal) else _with_scores(text, one.row.completion, next(scores), student, rank_clip)
        for one, (_, text) in zip(made, pairs, strict=True)
    ]


def _with_scores(
    text: BridgeText, ids: Sequence[int], scores: TokenScores, student: LikelihoodModel, rank_clip: int
) -> BridgeText:
    ranks = [min(rank, rank_clip) for rank in scores.ranks]
    nlls = [-log_prob for log_prob in scores.log_probs]
    bounds = [*step_bounds(text.text, ids, student.maker.tokenizer), len(ids)]
    parts = [slice(start, end) for start, end in itertools.pairwise(bounds) if end > start]
    steps = [StepLikelihood(tokens=len(ranks[part]), **_means(ranks[part], nlls[part])) for part in parts]
    ratio = sum(ranks) / max(math.fsum(nlls), LEAST_SURPRISAL)
    facts = {"tokens": len(ids), "rsr": round(ratio, DECIMALS), "steps": tuple(steps), **_means(ranks, nlls)}
    return text.model_copy(update=facts)


def _means(ranks: Sequence[int], nlls: Sequence[float]) -> dict[str, float]:
    return {"rank": round(mean(ranks), DECIMALS), "nll": round(mean(nlls), DECIMALS)}


def step_bounds(text: str, ids: Sequence[int], tokenizer: Any) -> list[int]:
    """For each step of a text, the token that it begins with: the first that ends behind its first character.

    Args:
        text: the text.
        ids: its tokens, with what the chat template writes after it.
        tokenizer: that made them.
    """

    def decoded(count: int) -> str:
        shown: str = tokenizer.decode(ids[:count], skip_special_tokens=False, clean_up_tokenization_spaces=False)
        return shown

    # A template may write something before the answer, and strip the answer's own spaces.
    before = max(decoded(len(ids)).find(text.strip()), 0) - (len(text) - len(text.lstrip()))
    return [
        bisect.bisect_right(range(len(ids)), start + before, key=lambda count: len(decoded(count + 1)))
        for start in step_starts(text)
    ]
