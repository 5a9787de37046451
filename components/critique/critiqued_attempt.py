"""One rollout while the teacher critiques it: its diagnosis, and the continuations that correct it."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel, ConfigDict

from components.critique.attempts import Attempt, AttemptedProblem
from components.critique.diagnosis import UNREADABLE, Diagnosis, objection, read_diagnosis
from components.critique.prompts import (
    ATTEMPT,
    BEGINNING,
    DIAGNOSIS,
    NO_BEGINNING,
    NO_REFERENCE,
    PROBLEM,
    REFERENCE,
    STEP,
)
from components.critique.settings import CritiqueSettings
from components.models.generators.generator import ChatRequest, Reply
from components.models.rollouts.fates import FAILED, NO_VERDICT, PENDING, TRUNCATED, fate_of
from components.models.rollouts.kept_rollouts import DrawnRollout
from components.shared.outputs.digest import digest_value, hex_of
from components.shared.rollout_rows import Critique, RepairText
from components.shared.rows import Labelled, Message
from components.shared.text.fill import filled
from components.shared.text.numbered_steps import before_step, from_step
from components.shared.thought import answer_of

REQUEST_KEY = 8
REFUSED, NOT_CONTINUED, UNREPAIRED = "template_refused", "not_continued", "unrepaired"
CHOSEN, SPARE = "chosen", "spare"


class WrittenCritiques(BaseModel):
    """A problem with what the teacher wrote about its rollouts, as it is stored while the job is in progress.

    `unsolved` is False for a problem that balances the diagnoses. A critique whose fate is empty may be learnt.
    `tokens_in` and `tokens_out` are those of all replies.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    row: Labelled
    unsolved: bool
    critiques: tuple[Critique, ...]
    tokens_in: int = 0
    tokens_out: int = 0


@dataclass(eq=False)
class CritiquedAttempt:
    """One rollout in progress; `reference` is what the teacher sees, empty for nothing."""

    one: AttemptedProblem
    attempt: Attempt
    reference: str
    diagnosis: Diagnosis | None = None
    fate: str = PENDING
    repairs: list[RepairText] = field(default_factory=list)
    tokens: Counter[str] = field(default_factory=Counter)
    failure: str = ""

    @property
    def row(self) -> Labelled:
        """The problem."""
        return self.one.problem.row

    def diagnosis_request(self, settings: CritiqueSettings) -> ChatRequest:
        """Asks for the diagnosis."""
        values = {ATTEMPT: self.attempt.text, REFERENCE: self.reference or NO_REFERENCE}
        return next(self._requests(settings.diagnosis_prompt, values, 1))

    def note_diagnosis(self, outcome: DrawnRollout | Reply) -> None:
        """Note what came: a diagnosis, or why there is none to use."""
        if isinstance(outcome, Reply):
            self.fate = REFUSED if outcome.refused else FAILED
            self.failure = outcome.text
            return
        self._count(outcome)
        self.diagnosis = read_diagnosis(answer_of(outcome.text), self.attempt.text)
        if outcome.finish == "length":
            self.fate = TRUNCATED
        elif self.diagnosis is None:
            self.fate = UNREADABLE
        else:
            self.fate = objection(self.diagnosis, passed=self.attempt.passed, has_reference=bool(self.reference))

    def repair_requests(self, settings: CritiqueSettings) -> Iterator[ChatRequest]:
        """Ask for continuations, if the fault was found."""
        if self.fate != PENDING or self.diagnosis is None or self.diagnosis.step is None:
            return
        values = {
            BEGINNING: self._beginning.rstrip() or NO_BEGINNING,
            STEP: str(self.diagnosis.step),
            DIAGNOSIS: self.diagnosis.why,
        }
        yield from self._requests(settings.repair_prompt, values, settings.repairs)

    def repaired(self, outcome: DrawnRollout | Reply) -> str | None:
        """The complete solution with a continuation; None if it did not come, or does not continue the prefix."""
        if isinstance(outcome, Reply):
            return None
        assert self.diagnosis is not None and self.diagnosis.step is not None  # asked only for a wrong step
        reply, beginning = answer_of(outcome.text).strip(), self._beginning
        if beginning.strip():
            reply = reply.removeprefix(beginning.strip())
        rest = from_step(reply, self.diagnosis.step)
        return None if rest is None else beginning + rest

    def note_repair(self, outcome: DrawnRollout | Reply, text: str | None, passed: bool | None) -> None:
        """Note a continuation, with the complete solution and its verdict."""
        if isinstance(outcome, Reply):
            fate = REFUSED if outcome.refused else FAILED
            self.repairs.append(RepairText(text=outcome.text, passed=None, fate=fate))
            return
        self._count(outcome)
        if text is None:
            self.repairs.append(RepairText(text=answer_of(outcome.text), passed=None, fate=NOT_CONTINUED))
        else:
            self.repairs.append(RepairText(text=text, passed=passed, fate=fate_of(outcome, passed)))

    def critiques(self, settings: CritiqueSettings) -> Iterator[Critique]:
        """The rows: the diagnosis, and the correction where the fault was found."""
        yield self._critique(kind="diagnosis", fate=self.fate)
        if not self.repairs:
            return
        right = [number for number, repair in enumerate(self.repairs) if repair.fate == PENDING]
        by_length = settings.keep == "shortest"
        chosen = min(right, key=lambda number: len(self.repairs[number].text) if by_length else number, default=None)
        fates = {number: CHOSEN if number == chosen else SPARE for number in right}
        repairs = tuple(
            repair.model_copy(update={"fate": fates[number]}) if number in fates else repair
            for number, repair in enumerate(self.repairs)
        )
        yield self._critique(kind="repair", fate=self._repair_fate(right), repairs=repairs, chosen=chosen)

    def _repair_fate(self, right: list[int]) -> str:
        if right:
            return PENDING
        return NO_VERDICT if any(repair.fate == NO_VERDICT for repair in self.repairs) else UNREPAIRED

    def _critique(self, **facts: Any) -> Critique:
        row, found = self.row, self.diagnosis
        return Critique(
            id=row.id,
            source=row.source,
            line=row.line,
            instruction=row.instruction,
            rollout=self.attempt.rollout,
            attempt=self.attempt.text,
            passed=self.attempt.passed,
            step=found.step if found else None,
            why=found.why if found else "",
            **facts,
        )

    @property
    def _beginning(self) -> str:
        assert self.diagnosis is not None and self.diagnosis.step is not None  # asked only for a wrong step
        return before_step(self.attempt.text, self.diagnosis.step)

    def _requests(self, prompt: str, values: Mapping[str, str], count: int) -> Iterator[ChatRequest]:
        """Requests of one conversation; their keys begin with that of the problem."""
        *before, _ = self.one.problem.messages
        text = filled(prompt, {PROBLEM: self.row.instruction, **values})
        messages = (*before, Message(role="user", content=text))
        digest = hex_of(digest_value([[message.role, message.content] for message in messages]), REQUEST_KEY)
        for number in range(count):
            yield ChatRequest(key=f"{self.one.problem.key}/{digest}/{number}", messages=messages)

    def _count(self, outcome: DrawnRollout) -> None:
        self.tokens.update(tokens_in=outcome.tokens_in, tokens_out=outcome.tokens_out)
