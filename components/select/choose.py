"""Which response of a row is the best, which is the worst, and what is wrong with the row."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from components.rewards.checks.registry import CHECKERS
from components.rewards.measured import Measured
from components.select.contrast import DROPPED, Judged, judge, pair_of, why_no_pair
from components.select.formula import FORMULAS, is_safe
from components.select.rules import is_truncated, label_of, takes_part, why_not_best, why_not_worst
from components.select.settings import SelectSettings
from components.shared.rows import Answered, Scores

UNSAFE_REQUEST, UNSAFE_RESPONSE = "unsafe-request", "unsafe-response"
CONTRADICTED = "reference-contradicted"
FAILED, TRUNCATED, SPARED = "failed-response", "truncated-response", "truncated-spared"
NOTHING_DESIRABLE, NO_CONTRAST = "nothing-desirable", "no-contrast"
REFUSED = "template-refused"
FLAGS = (
    REFUSED,
    UNSAFE_REQUEST,
    UNSAFE_RESPONSE,
    CONTRADICTED,
    FAILED,
    TRUNCATED,
    SPARED,
    NOTHING_DESIRABLE,
    NO_CONTRAST,
)
"""All flags of a verdict, in their order."""


@dataclass(frozen=True)
class Evidence:
    """The measurements of one row; None for those that the settings omit."""

    checks: Measured
    perplexity: Measured | None = None
    safety: Measured | None = None
    quality: Measured | None = None
    likelihood: Measured | None = None

    @property
    def measured(self) -> list[Measured]:
        """The measurements that were made."""
        found = (self.checks, self.perplexity, self.safety, self.quality, self.likelihood)
        return [one for one in found if one is not None]

    @property
    def refused(self) -> str:
        """Why the chat template of a scorer refuses the row; empty where none does."""
        return next((one.refused for one in self.measured if one.refused), "")

    @property
    def control_text(self) -> bool:
        """Whether the text of the row spells a control token of a scorer's model."""
        return any(one.control_text for one in self.measured)


@dataclass(frozen=True)
class Choice:
    """Scores of all responses, the indices of the best and the worst, flags, and what is learnt by contrast.

    `kto` has indices with labels: the best and the worst response, or the original ones with the labels they had.
    `no_pair` is the reason, of NO_PAIR, that there is no pair; empty where there is one.
    """

    scores: tuple[Scores, ...]
    best: int | None
    worst: int | None
    flags: tuple[str, ...]
    kto: Judged = ()
    no_pair: str = ""

    @property
    def pair(self) -> tuple[int, int] | None:
        """The chosen and the rejected response: those of the KTO rows, where there are both."""
        return pair_of(self.kto)

    @property
    def margin(self) -> float:
        """The total of the pair's chosen response minus that of its rejected one; 0 without a pair."""
        if self.pair is None:
            return 0.0
        chosen, rejected = (self.scores[index].total for index in self.pair)
        return round(chosen - rejected, 6)


def choose(row: Answered, evidence: Evidence, settings: SelectSettings) -> Choice:
    """Score the responses of a row and choose among them; empty and failed responses are ignored.

    The label of the original response counts: labelled undesirable, it is never the best and is known to be bad;
    labelled desirable, it is not the worst, and is preferred to others with the same total.

    A row that the chat template of a scorer refuses is dropped: its responses cannot be compared.
    """
    unsafe_request = _is_unsafe_request(evidence, settings)
    contradicted = not unsafe_request and is_contradicted(row, evidence, settings)
    checked = _verdicts(row, evidence, unsafe_request, contradicted and settings.reference.trust == "vote")
    graded = _is_graded(row) and not unsafe_request
    scores = tuple(_scores(index, evidence, checked[index], settings, graded) for index in range(len(row.responses)))
    dropped = bool(evidence.refused) or (unsafe_request and settings.unsafe == "drop")
    best = None if dropped else _best(row, scores, settings)
    worst = None if best is None else _worst(row, scores, best, settings)
    spared = best is not None and _is_spared(row, scores, best, worst, settings)
    present = {
        REFUSED: bool(evidence.refused),
        UNSAFE_REQUEST: unsafe_request,
        CONTRADICTED: contradicted,
        SPARED: spared,
        NOTHING_DESIRABLE: best is None,
        NO_CONTRAST: best is not None and worst is None,
        **_of_responses(row, scores, settings),
    }
    flags = tuple(flag for flag in FLAGS if present[flag])
    if dropped:
        return Choice(scores, best, worst, flags, no_pair=DROPPED)
    kto = judge(row, scores, best, worst, settings)
    no_pair = "" if pair_of(kto) else why_no_pair(row, scores, best, spared=spared)
    return Choice(scores, best, worst, flags, kto, no_pair)


def _of_responses(row: Answered, scores: Sequence[Scores], settings: SelectSettings) -> dict[str, bool]:
    """The flags that a row has if one of its responses has them."""
    indices = range(len(row.responses))
    return {
        UNSAFE_RESPONSE: any(not is_safe(one, settings.safe_from) for one in scores),
        FAILED: any(not takes_part(row, index) for index in indices),
        TRUNCATED: any(is_truncated(row, index) for index in indices),
    }


def is_contradicted(row: Answered, evidence: Evidence, settings: SelectSettings) -> bool:
    """Whether the teacher and the likelihoods contradict the reference answer (settings.Reference has the rule)."""
    compares = row.check is not None and CHECKERS[row.check.kind].has_reference and not _is_graded(row)
    if not compares or evidence.likelihood is None:
        return False
    origins = [response.origin for response in row.responses]
    groups, likelihood = evidence.checks.groups, evidence.likelihood
    teacher = _teachers_answer(row, groups)
    original = origins.index("original") if "original" in origins else None
    if teacher is None or original is None or not takes_part(row, original):
        return False
    if groups[teacher] == groups[original] or evidence.checks.values[original] != 1.0:
        return False
    own, reference = _total(likelihood, teacher), _total(likelihood, original)
    if own is None or reference is None or own - reference < settings.reference.contradiction_nats:
        return False
    direct = max(likelihood.tokens[teacher], likelihood.tokens[original]) <= settings.reference.direct_tokens
    students = (index for index, origin in enumerate(origins) if origin == "student")
    return direct or any(groups[index] == groups[teacher] for index in students)


def _teachers_answer(row: Answered, groups: Sequence[int]) -> int | None:
    """The teacher's first response with the answer that more than half of its complete responses give, if there is one.

    A single response is the teacher's answer by itself.
    """
    able = [
        index
        for index, response in enumerate(row.responses)
        if response.origin == "teacher" and response.finish == "stop" and takes_part(row, index)
    ]
    votes = Counter(groups[index] for index in able)
    return next((index for index in able if 2 * votes[groups[index]] > len(able)), None)


def _verdicts(row: Answered, evidence: Evidence, unsafe_request: bool, by_vote: bool) -> list[bool | None]:
    """Which answers are right: by the reference, or by equality with the teacher's.

    None for an unsafe request, and for a graded check, which calls no answer right or wrong.
    """
    if unsafe_request or _is_graded(row):
        return [None] * len(row.responses)
    groups = evidence.checks.groups
    teacher = _teachers_answer(row, groups) if by_vote else None
    if teacher is not None:
        return [group == groups[teacher] if takes_part(row, index) else None for index, group in enumerate(groups)]
    return [None if value is None else value == 1.0 for value in evidence.checks.values]


def _is_graded(row: Answered) -> bool:
    """Whether the check of a row says how good a response is, and not whether it is right."""
    return row.check is not None and CHECKERS[row.check.kind].is_graded


def _scores(index: int, evidence: Evidence, checked: bool | None, settings: SelectSettings, graded: bool) -> Scores:
    # The verifier uses the measurement of the checks; its quality is the verdict, by vote where that applies, or the
    # score of a graded check.
    verified = evidence.quality is evidence.checks and not graded
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
    """The highest total among the responses that nothing speaks against."""
    able = [index for index in range(len(row.responses)) if not why_not_best(row, index, scores[index], settings)]
    return min(able, key=lambda index: (-scores[index].total, _rank(row, index, settings)), default=None)


def _worst(row: Answered, scores: Sequence[Scores], best: int, settings: SelectSettings) -> int | None:
    """The lowest total among responses that differ from the best one and are known to be bad or far enough below it."""
    able = [index for index in range(len(row.responses)) if not why_not_worst(row, index, scores, best, settings)]
    return min(able, key=lambda index: (scores[index].total, -_rank(row, index, settings)), default=None)


def _is_spared(row: Answered, scores: Sequence[Scores], best: int, worst: int | None, settings: SelectSettings) -> bool:
    """Whether a truncated response would be the worst one, had it been finished as it is."""
    if not any(is_truncated(row, index) for index in range(len(row.responses))):
        return False
    return _worst(row, scores, best, settings.model_copy(update={"truncated": "allow"})) != worst


def _rank(row: Answered, index: int, settings: SelectSettings) -> int:
    return -1 if label_of(row, index) else settings.ties.index(row.responses[index].origin)


def _at(measured: Measured | None, index: int) -> float | None:
    return None if measured is None else measured.values[index]


def _total(likelihood: Measured, index: int) -> float | None:
    """The summed log-probability of a response, in nats."""
    mean = likelihood.values[index]
    return None if mean is None else mean * likelihood.tokens[index]


def _is_unsafe_request(evidence: Evidence, settings: SelectSettings) -> bool:
    request = evidence.safety.request if evidence.safety is not None else None
    return request is not None and request < settings.safe_from
