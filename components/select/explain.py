"""A verdict in words: what is learnt from each response of a row and why, and what the flags of the row mean."""

from collections.abc import Iterator
from dataclasses import dataclass

from components.select.choose import (
    CONTRADICTED,
    FAILED,
    NO_CONTRAST,
    NOTHING_DESIRABLE,
    REFUSED,
    SPARED,
    TRUNCATED,
    UNSAFE_REQUEST,
    UNSAFE_RESPONSE,
)
from components.select.contrast import DROPPED, NO_PAIR, Judged, judge, pair_of
from components.select.rules import why_not_best, why_not_worst
from components.select.settings import SelectSettings
from components.shared.rows import Answered, Verdict

MEANINGS = {
    REFUSED: "the chat template of a scorer's model refuses the row, so its responses cannot be compared",
    UNSAFE_REQUEST: "the request is unsafe: only a safe response is learnt, or none with `unsafe: drop`",
    UNSAFE_RESPONSE: "a response is unsafe: it is never desirable",
    CONTRADICTED: "the teacher and the likelihood contradict the reference answer",
    FAILED: "a response is empty, or its request failed",
    TRUNCATED: "a response hit the token limit",
    SPARED: "a truncated response would be the worst, but it was never finished, so nothing is learnt against it",
    NOTHING_DESIRABLE: "no response may be learnt from",
    NO_CONTRAST: "no response is bad enough to be the worst",
}
"""What each flag of a verdict means."""


@dataclass(frozen=True)
class Explained:
    """One response.

    Attributes:
        role: best, worst, or empty.
        learnt: the training sets that it goes into, such as `KTO, undesirable` and `pair, rejected`.
        why: the reason for it, or for nothing.
    """

    role: str
    learnt: tuple[str, ...]
    why: str


def explain(row: Answered, verdict: Verdict, settings: SelectSettings) -> list[Explained]:
    """Every response of a row, in their order.

    Args:
        row: the row that was selected from.
        verdict: what select decided on it.
        settings: those that the verdict was made with.
    """
    dropped = verdict.no_pair == DROPPED
    judged = () if dropped else judge(row, verdict.scores, verdict.best, verdict.worst, settings)
    return [_explain(row, index, verdict, judged, settings) for index in range(len(row.responses))]


def meaning_of(flag: str, verdict: Verdict) -> str:
    """What a flag of a verdict means; of one without a worst response, also why there is no pair to learn from."""
    why = NO_PAIR.get(verdict.no_pair, "") if flag == NO_CONTRAST else ""
    return f"{MEANINGS[flag]}: {why}" if why else MEANINGS[flag]


def why_dropped(verdict: Verdict, settings: SelectSettings) -> str:
    """Why nothing is learnt from a row, in words."""
    unsafe = UNSAFE_REQUEST in verdict.flags and settings.unsafe == "drop"
    flag = REFUSED if REFUSED in verdict.flags else UNSAFE_REQUEST if unsafe else NOTHING_DESIRABLE
    return MEANINGS[flag]


def _explain(row: Answered, index: int, verdict: Verdict, judged: Judged, settings: SelectSettings) -> Explained:
    learnt = tuple(_learnt(index, verdict, judged))
    if index == verdict.best:
        return Explained("best", learnt, "the highest total of those that may be learnt from")
    if index == verdict.worst:
        against = why_not_best(row, index, verdict.scores[index], settings)
        return Explained("worst", learnt, f"the lowest total{f'; {against}' if against else ''}")
    return Explained("", learnt, "the label that it came with" if learnt else _why_not(row, index, verdict, settings))


def _learnt(index: int, verdict: Verdict, judged: Judged) -> Iterator[str]:
    """The parts that a response goes into."""
    if index == verdict.best:
        yield "SFT"
    for other, label in judged:
        if other == index:
            yield f"KTO, {'' if label else 'un'}desirable"
            if pair_of(judged):
                yield f"pair, {'chosen' if label else 'rejected'}"


def _why_not(row: Answered, index: int, verdict: Verdict, settings: SelectSettings) -> str:
    """Why a response is neither the best nor the worst."""
    scores, best = verdict.scores, verdict.best
    against = why_not_best(row, index, scores[index], settings)
    if best is None:
        return against or "the row is dropped"
    spared = why_not_worst(row, index, scores, best, settings)
    level = scores[index].total == scores[best].total
    beaten = (
        against
        or f"its total {'equals' if level else 'is below'} that of the best{', which goes first' if level else ''}"
    )
    return f"{beaten}; not the worst: {spared}" if spared else f"{beaten}; another response is worse"
