"""What several answers to one question say together: the score of a majority vote."""

import math
from collections import defaultdict
from collections.abc import Hashable, Sequence


def majority_score(answers: Sequence[Hashable | None], scores: Sequence[float]) -> float:
    """The score of the most frequent answer (self-consistency: Wang et al., arXiv 2203.11171).

    Replies that state no answer (None) have no vote; without any vote the score is 0. Of answers with equally many
    votes one would be drawn, so the score is their mean, which needs no random numbers.

    Args:
        answers: what each reply states; equal answers are one.
        scores: of the replies.
    """
    votes = defaultdict[Hashable, list[float]](list)
    for answer, score in zip(answers, scores, strict=True):
        if answer is not None:
            votes[answer].append(score)
    if not votes:
        return 0.0
    most = max(map(len, votes.values()))
    winners = [_mean(group) for group in votes.values() if len(group) == most]
    return _mean(winners)


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)
