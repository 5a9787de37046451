"""Which response of a row is learnt from, which is learnt against, and what is wrong with the row."""

from collections.abc import Sequence
from dataclasses import dataclass

from components.select.formula import FORMULAS, is_safe
from components.select.measured import Measured
from components.select.settings import SelectSettings
from components.shared.rows import Answered, Scores

UNSAFE_REQUEST, UNSAFE_RESPONSE = "unsafe-request", "unsafe-response"
CONTRADICTED = "reference-contradicted"
FAILED, CUT_OFF = "failed-response", "cut-off-response"
NOTHING_DESIRABLE, NO_CONTRAST = "nothing-desirable", "no-contrast"
REFUSED = "template-refused"
FLAGS = (REFUSED, UNSAFE_REQUEST, UNSAFE_RESPONSE, CONTRADICTED, FAILED, CUT_OFF, NOTHING_DESIRABLE, NO_CONTRAST)
"""Every flag of a verdict, in their order."""

COMPARABLE = frozenset({"math", "exact", "choice"})
"""Kinds of checks with a reference answer; that of code is its tests."""


@dataclass(frozen=True)
class Evidence:
    """What was measured on one row; None for what was left out."""

    checks: Measured
    perplexity: Measured | None = None
    safety: Measured | None = None
    quality: Measured | None = None
    likelihood: Measured | None = None

    @property
    def measured(self) -> list[Measured]:
        """What there is."""
        found = (self.checks, self.perplexity, self.safety, self.quality, self.likelihood)
        return [one for one in found if one is not None]

    @property
    def refused(self) -> str:
        """Why a scorer's chat template refuses the row; empty where none does."""
        return next((one.refused for one in self.measured if one.refused), "")

    @property
    def control_text(self) -> bool:
        """Whether the row's text spells a control token of a scorer's model."""
        return any(one.control_text for one in self.measured)


@dataclass(frozen=True)
class Choice:
    """Scores of all responses, the indices of the best and the worst, flags, and the KTO rows that come of it.

    `kto` holds indices with labels: the best and the worst, or alone the original response with its own label.
    """

    scores: tuple[Scores, ...]
    best: int | None
    worst: int | None
    flags: tuple[str, ...]
    kto: tuple[tuple[int, bool], ...] = ()


def choose(row: Answered, evidence: Evidence, settings: SelectSettings) -> Choice:
    """Score and choose. Responses without text, or of failed requests, take no part.

    A label that the original response came with counts: one that is labelled undesirable is never the best and is known
    to be bad, one that is labelled desirable is not the worst, and goes before others of the same total.

    Nothing is learnt from a row that a scorer's chat template refuses: its responses cannot be compared.
    """
    unsafe_request = _is_unsafe_request(evidence, settings)
    contradicted = not unsafe_request and is_contradicted(row, evidence, settings)
    checked = _verdicts(row, evidence, unsafe_request, contradicted and settings.reference.trust == "vote")
    scores = tuple(_scores(index, evidence, checked[index], settings) for index in range(len(row.responses)))
    dropped = bool(evidence.refused) or (unsafe_request and settings.unsafe == "drop")
    best = None if dropped else _best(row, scores, settings)
    worst = None if best is None else _worst(row, scores, best, settings)
    present = {
        REFUSED: bool(evidence.refused),
        UNSAFE_REQUEST: unsafe_request,
        UNSAFE_RESPONSE: any(not is_safe(one, settings.safe_from) for one in scores),
        CONTRADICTED: contradicted,
        FAILED: any(not _takes_part(row, index) for index in range(len(row.responses))),
        CUT_OFF: any(response.finish == "length" for response in row.responses),
        NOTHING_DESIRABLE: best is None,
        NO_CONTRAST: best is not None and worst is None,
    }
    flags = tuple(flag for flag in FLAGS if present[flag])
    return Choice(scores, best, worst, flags, () if dropped else _kto_rows(row, scores, best, worst, settings))


def _kto_rows(
    row: Answered, scores: Sequence[Scores], best: int | None, worst: int | None, settings: SelectSettings
) -> tuple[tuple[int, bool], ...]:
    """Best and worst; where there is no such pair, a labelled response alone, unless it is known to be worse."""
    if best is not None and worst is not None:
        return (best, True), (worst, False)
    labelled = [(index, label) for index in range(len(row.responses)) if (label := _label(row, index)) is not None]
    able = [
        (index, label)
        for index, label in labelled
        if _takes_part(row, index) and not (label and _is_known_bad(scores[index], settings))
    ]
    return tuple(able[:1])


def is_contradicted(row: Answered, evidence: Evidence, settings: SelectSettings) -> bool:
    """Whether the teacher and the likelihoods speak against the reference answer (settings.Reference has the rule)."""
    if row.check is None or row.check.kind not in COMPARABLE or evidence.likelihood is None:
        return False
    origins = [response.origin for response in row.responses]
    if not {"teacher", "original"} <= set(origins):
        return False
    teacher, original = origins.index("teacher"), origins.index("original")
    groups, likelihood = evidence.checks.groups, evidence.likelihood
    speaks = row.responses[teacher].finish == "stop" and _takes_part(row, teacher) and _takes_part(row, original)
    if not speaks or groups[teacher] == groups[original] or evidence.checks.values[original] != 1.0:
        return False
    own, reference = _total(likelihood, teacher), _total(likelihood, original)
    if own is None or reference is None or own - reference < settings.reference.contradiction_nats:
        return False
    direct = max(likelihood.tokens[teacher], likelihood.tokens[original]) <= settings.reference.direct_tokens
    return direct or any(group == groups[teacher] for index, group in enumerate(groups) if index != teacher)


def _verdicts(row: Answered, evidence: Evidence, unsafe_request: bool, by_vote: bool) -> list[bool | None]:
    """Which answers are right: by the reference, or as the teacher's. To answer an unsafe request is never right."""
    if unsafe_request:
        return [None] * len(row.responses)
    if by_vote:
        teacher = next(index for index, response in enumerate(row.responses) if response.origin == "teacher")
        groups = evidence.checks.groups
        return [group == groups[teacher] if _takes_part(row, index) else None for index, group in enumerate(groups)]
    return [None if value is None else value == 1.0 for value in evidence.checks.values]


def _scores(index: int, evidence: Evidence, checked: bool | None, settings: SelectSettings) -> Scores:
    # The verifier's measurement is that of the checks; its quality is the verdict, by vote where that counts.
    verified = evidence.quality is evidence.checks
    quality = (None if checked is None else float(checked)) if verified else _at(evidence.quality, index)
    scores = Scores(
        perplexity=settings.perplexity.value(_at(evidence.perplexity, index)),
        safety=settings.safety.value(_at(evidence.safety, index)),
        quality=settings.quality.value(quality),
        checked=checked,
    )
    total = FORMULAS[settings.formula.name](scores, settings.formula, settings.safe_from)
    return scores.model_copy(update={"total": total})


def _best(row: Answered, scores: Sequence[Scores], settings: SelectSettings) -> int | None:
    """The highest total among responses that are whole, safe, not known to be wrong, and good enough."""
    able = [
        index
        for index, response in enumerate(row.responses)
        if _takes_part(row, index)
        and (response.finish == "stop" or settings.cut_off == "allow")
        and is_safe(scores[index], settings.safe_from)
        and scores[index].checked is not False
        and scores[index].total >= settings.minimum_total
        and _label(row, index) is not False
    ]
    return min(able, key=lambda index: (-scores[index].total, _rank(row, index, settings)), default=None)


def _worst(row: Answered, scores: Sequence[Scores], best: int, settings: SelectSettings) -> int | None:
    """The lowest total among responses of another text than the best one's, known to be bad or far enough below it."""
    able = [
        index
        for index, response in enumerate(row.responses)
        if _takes_part(row, index)
        and response.text.strip() != row.responses[best].text.strip()
        and not (settings.kto.spare_right and scores[index].checked and is_safe(scores[index], settings.safe_from))
        and _may_be_worst(row, index, scores, best, settings)
    ]
    return min(able, key=lambda index: (scores[index].total, -_rank(row, index, settings)), default=None)


def _may_be_worst(row: Answered, index: int, scores: Sequence[Scores], best: int, settings: SelectSettings) -> bool:
    """Whether a response is known to be bad or labelled so, or far enough below the best and not labelled good."""
    label = _label(row, index)
    if label is False or _is_known_bad(scores[index], settings):
        return True
    return label is None and scores[best].total - scores[index].total >= settings.kto.margin


def _label(row: Answered, index: int) -> bool | None:
    """The label of a response's text: that of the original one, also where another origin gave the same text."""
    return row.desirable if row.responses[index].text.strip() == row.response.strip() else None


def _is_known_bad(scores: Scores, settings: SelectSettings) -> bool:
    """Whether more than an opinion speaks against a response: it is unsafe, or its answer is wrong."""
    return scores.checked is False or not is_safe(scores, settings.safe_from)


def _takes_part(row: Answered, index: int) -> bool:
    response = row.responses[index]
    return response.finish != "error" and bool(response.text.strip())


def _rank(row: Answered, index: int, settings: SelectSettings) -> int:
    return -1 if _label(row, index) else settings.ties.index(row.responses[index].origin)


def _at(measured: Measured | None, index: int) -> float | None:
    return None if measured is None else measured.values[index]


def _total(likelihood: Measured, index: int) -> float | None:
    """The summed log-probability of a response, in nats."""
    mean = likelihood.values[index]
    return None if mean is None else mean * likelihood.tokens[index]


def _is_unsafe_request(evidence: Evidence, settings: SelectSettings) -> bool:
    request = evidence.safety.request if evidence.safety is not None else None
    return request is not None and request < settings.safe_from
