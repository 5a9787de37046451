"""Which of a problem's texts is learnt: the best rewriting that is good, else the raw trace, else the reference."""

import math
from collections import Counter
from collections.abc import Sequence

from components.bridge.taught_problem import WrittenProblem
from components.models.rollouts.fates import NO_VERDICT, PENDING
from components.shared.rollout_rows import Bridged, BridgeText
from components.shared.rows import Dropped, Scores, SftRow
from components.shared.text.numbered_steps import step_starts

DECIMALS = 6
CHOSEN, SPARE = "chosen", "spare"
TOO_LONG, UNNUMBERED, UNFINISHED, REFUSED = "too_long", "unnumbered", "unfinished", "template_refused"
NO_TRACE, NO_TEXT = "no_trace", "no_text"
REASONS = {
    REFUSED: "a chat template refuses the problem",
    NO_TRACE: "the teacher has no correct trace, and no correct reference solution came with the problem",
    NO_VERDICT: "the same, and some of them could not be checked",
    NO_TEXT: "the teacher solved it, but no text is good enough",
}
"""Why a problem is dropped."""
ORIGINS = ("rewritten", "raw", "reference")
"""In the order in which they are taken."""


def fitting(text: BridgeText, cap: int, least_steps: int) -> BridgeText:
    """A measured text with its fate, if it is too long, or a rewriting without steps.

    The reference solution may be longer than the cap: it is the last resort.
    """
    if text.fate != PENDING or text.tokens is None:
        return text
    if text.origin != "reference" and text.tokens > cap:
        return text.model_copy(update={"fate": TOO_LONG})
    if text.origin == "rewritten" and len(step_starts(text.text)) < least_steps:
        return text.model_copy(update={"fate": UNNUMBERED})
    return text


def best(texts: Sequence[BridgeText]) -> int | None:
    """The text to learn, by its index: of the first origin that has a good one, the one with the lowest ratio."""
    good = [
        (ORIGINS.index(text.origin), text.rsr, number)
        for number, text in enumerate(texts)
        if text.fate == PENDING and text.rsr is not None
    ]
    return min(good)[2] if good else None


def bridged(problem: WrittenProblem, texts: Sequence[BridgeText]) -> Bridged:
    """The problem with its choice: what is still good is chosen or spare."""
    chosen = best(texts)
    fates = [
        text.model_copy(update={"fate": CHOSEN if number == chosen else SPARE}) if text.fate == PENDING else text
        for number, text in enumerate(texts)
    ]
    row = problem.row
    return Bridged(
        id=row.id,
        source=row.source,
        line=row.line,
        instruction=row.instruction,
        texts=tuple(fates),
        chosen=chosen,
        reason="" if chosen is not None else _reason(problem, texts),
    )


def sft_row(problem: WrittenProblem, row: Bridged) -> SftRow | None:
    """The row that a training reads; None where no text was chosen."""
    if row.chosen is None:
        return None
    text = row.texts[row.chosen]
    return SftRow(
        id=row.id,
        prompt=tuple(problem.row.prompt()),
        completion=text.text,
        origin="original" if text.origin == "reference" else "teacher",
        scores=Scores(perplexity=perplexity(text), checked=True),
    )


def dropped(row: Bridged, refusal: str) -> Dropped | None:
    """The row of a problem that is not learnt, with what became of its texts; None where one was chosen."""
    if row.chosen is not None:
        return None
    fates = Counter(f"{text.origin} {text.fate}" for text in row.texts)
    evidence = refusal or ", ".join(f"{count} {what}" for what, count in sorted(fates.items()))
    return Dropped(id=row.id, source=row.source, line=row.line, reason=row.reason, evidence=evidence)


def perplexity(text: BridgeText) -> float | None:
    """The student's perplexity of a text, if it was measured."""
    return None if text.nll is None else round(math.exp(text.nll), DECIMALS)


def _reason(problem: WrittenProblem, texts: Sequence[BridgeText]) -> str:
    if problem.refusal or any(text.fate == REFUSED for text in texts):
        return REFUSED
    if any(text.origin == "raw" for text in texts):
        return NO_TEXT
    unknown = problem.traces.get(NO_VERDICT) or any(text.fate == NO_VERDICT for text in texts)
    return NO_VERDICT if unknown else NO_TRACE
