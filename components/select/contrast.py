"""What a row teaches by contrast: its KTO rows, its pair, or why it gives no pair."""

from collections.abc import Sequence

from components.select.rules import is_known_bad, is_spared_as_right, label_of, takes_part
from components.select.settings import SelectSettings
from components.shared.rows import Answered, Scores

Judged = tuple[tuple[int, bool], ...]
"""Indices of responses, each with whether it is desirable."""

DROPPED, ONLY_WRONG, NONE_GOOD = "dropped", "only-wrong", "nothing-desirable"
UNFINISHED, ALONE, ONLY_RIGHT = "truncated", "one-response", "only-right"
EQUAL, TOO_CLOSE = "equal-responses", "too-close"
NO_PAIR = {
    DROPPED: "the row is dropped: its request is unsafe, or a chat template refuses it",
    ONLY_WRONG: "every answer that was checked is wrong",
    NONE_GOOD: "no response may be learnt from",
    UNFINISHED: "only a truncated response is worse than the best, and it was never finished",
    ALONE: "there is only one response",
    ONLY_RIGHT: "every answer that was checked is right",
    EQUAL: "all responses have the same text",
    TOO_CLOSE: "no response is known to be bad or kto.margin below the best",
}
"""Why a row gives no pair: each row without one is counted under the first reason that applies."""


def judge(
    row: Answered, scores: Sequence[Scores], best: int | None, worst: int | None, settings: SelectSettings
) -> Judged:
    """The responses that become KTO rows: best and worst, the pair that the row came with, or a labelled one alone.

    Labels are taken where the scores leave nothing to compare, unless a check or the safety speaks against them.
    """
    if best is not None and worst is not None:
        return (best, True), (worst, False)
    labelled = [(index, label) for index in range(len(row.responses)) if (label := label_of(row, index)) is not None]
    able = [
        (index, label)
        for index, label in labelled
        if takes_part(row, index) and not _is_refuted(label, scores[index], settings)
    ]
    good, bad = ([item for item in able if item[1] is label][:1] for label in (True, False))
    return (*good, *bad) if good and bad else tuple(able[:1])


def pair_of(judged: Judged) -> tuple[int, int] | None:
    """The chosen and the rejected response; None where a row has only one of them."""
    return (judged[0][0], judged[1][0]) if len(judged) == 2 else None


def why_no_pair(row: Answered, scores: Sequence[Scores], best: int | None, *, spared: bool) -> str:
    """The reason, of NO_PAIR, that a row without a pair has none.

    Args:
        row: the row, which was not dropped.
        scores: of its responses.
        best: the index of the best response.
        spared: whether a truncated response would have been the worst one.
    """
    able = [index for index in range(len(row.responses)) if takes_part(row, index)]
    checked = {scores[index].checked for index in able} - {None}
    if best is None:
        return ONLY_WRONG if checked == {False} else NONE_GOOD
    applying = {
        UNFINISHED: spared,
        ALONE: len(able) == 1,
        ONLY_RIGHT: checked == {True},
        EQUAL: len({row.responses[index].text.strip() for index in able}) == 1,
    }
    return next((reason for reason, applies in applying.items() if applies), TOO_CLOSE)


def _is_refuted(label: bool, scores: Scores, settings: SelectSettings) -> bool:
    """Whether a check or the safety speaks against a label."""
    return is_known_bad(scores, settings) if label else is_spared_as_right(scores, settings)
