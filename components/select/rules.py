"""The rules that a response must keep to be the best of its row, or the worst."""

from collections.abc import Sequence

from components.select.formula import is_safe
from components.select.settings import SelectSettings
from components.shared.rows import Answered, Scores
from components.shared.thought import split_thought


def why_not_best(row: Answered, index: int, scores: Scores, settings: SelectSettings) -> str:
    """The first rule that a response breaks to be the best one, in words; empty if it breaks none."""
    if not takes_part(row, index):
        return "it is empty"
    if is_truncated(row, index) and settings.truncated != "allow":
        return "it was truncated at the token limit"
    if not is_safe(scores, settings.safe_from):
        return f"it is unsafe: below safe_from {settings.safe_from:g}"
    if scores.checked is False:
        return "its answer is wrong"
    if scores.total < settings.minimum_total:
        return f"its total is below minimum_total {settings.minimum_total:g}"
    return "it came with the label undesirable" if label_of(row, index) is False else ""


def why_not_worst(row: Answered, index: int, scores: Sequence[Scores], best: int, settings: SelectSettings) -> str:
    """The first rule that a response breaks to be the worst one, in words; empty if it breaks none."""
    if spared := _why_spared(row, index, scores[index], best, settings):
        return spared
    label = label_of(row, index)
    if label is False or is_known_bad(scores[index], settings):
        return ""
    if label is True:
        return "it came with the label desirable"
    far = scores[best].total - scores[index].total >= settings.kto.margin
    return "" if far else f"its total is less than kto.margin {settings.kto.margin:g} below the best"


def _why_spared(row: Answered, index: int, scores: Scores, best: int, settings: SelectSettings) -> str:
    """Why nothing is learnt against a response, however low its total; empty if nothing spares it."""
    if not takes_part(row, index):
        return "it is empty"
    if row.responses[index].text.strip() == row.responses[best].text.strip():
        return "its text is that of the best"
    if is_spared_as_right(scores, settings):
        return "its answer is right"
    unfinished = is_unfinished(row, index, scores, settings)
    return "it was truncated at the token limit, so its answer is not known to be bad" if unfinished else ""


def label_of(row: Answered, index: int) -> bool | None:
    """The label of a response: that of an original one, also where another origin gave the same text.

    The original response of a pair is the preferred one; the other is undesirable.
    """
    if row.desirable is None and not row.rejected:
        return None
    text = row.responses[index].text.strip()
    if text == _answer(row.response):
        return row.desirable
    return False if row.rejected and text == _answer(row.rejected) else None


def takes_part(row: Answered, index: int) -> bool:
    """Whether there is a response to choose: it is neither failed nor empty."""
    response = row.responses[index]
    return response.finish != "error" and bool(response.text.strip())


def is_truncated(row: Answered, index: int) -> bool:
    """Whether a response hit the token limit."""
    return row.responses[index].finish == "length"


def is_unfinished(row: Answered, index: int, scores: Scores, settings: SelectSettings) -> bool:
    """Whether a truncated response says nothing about what it would have become.

    Its check fails and its likelihood is low because the answer was not reached. What is there may still be unsafe, or
    the text that was labelled undesirable.
    """
    if not is_truncated(row, index) or settings.truncated == "allow":
        return False
    return is_safe(scores, settings.safe_from) and label_of(row, index) is not False


def is_known_bad(scores: Scores, settings: SelectSettings) -> bool:
    """Whether a response is unsafe or its answer is wrong, which is more than a low score."""
    return scores.checked is False or not is_safe(scores, settings.safe_from)


def is_spared_as_right(scores: Scores, settings: SelectSettings) -> bool:
    """Whether a response is never undesirable, because its answer is right."""
    return settings.kto.spare_right and bool(scores.checked) and is_safe(scores, settings.safe_from)


def _answer(response: str) -> str:
    """An original response as it is compared: its reasoning is stored apart from the text."""
    return split_thought(response).answer.strip()
