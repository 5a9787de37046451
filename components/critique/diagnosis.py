"""Reads a diagnosis, and judges it by what the check says."""

import re
from dataclasses import dataclass

from components.critique.prompts import NONE, VERDICT
from components.shared.text.numbered_steps import step_starts

UNREADABLE, DISAGREES, MENTIONS_REFERENCE = "unreadable", "disagrees", "mentions_reference"

_VERDICT = re.compile(
    rf"{VERDICT.rstrip(':')}[ \t]*[*_]*[ \t]*[:：][ \t*_]*(?:step[ \t]+)?(\d{{1,3}}|{NONE})\b", re.IGNORECASE
)
_MARKS = " \t\n*_#>-"
_REFERENCE = re.compile(r"\breference\s+(?:solution|answer)", re.IGNORECASE)


@dataclass(frozen=True)
class Diagnosis:
    """What a teacher found: the first wrong step, from 1, or None if all are right, and why."""

    step: int | None
    why: str

    @property
    def text(self) -> str:
        """The diagnosis as it is learnt: the reason, and the verdict in a line of its own."""
        return f"{self.why}\n\n{VERDICT} {self.step or NONE}"


def read_diagnosis(reply: str, attempt: str) -> Diagnosis | None:
    """The diagnosis in a reply, by its last line with a verdict; None if it cannot be read.

    It cannot be read without a verdict, with a step that the attempt does not have, or without a reason.

    Args:
        reply: without its thought.
        attempt: what was diagnosed, in numbered steps.
    """
    found = list(_VERDICT.finditer(reply))
    if not found:
        return None
    said, why = found[-1][1].lower(), reply[: found[-1].start()].strip(_MARKS)
    step = None if said == NONE else int(said)
    if not why or (step is not None and not 1 <= step <= len(step_starts(attempt))):
        return None
    return Diagnosis(step, why)


def objection(diagnosis: Diagnosis, *, passed: bool, has_reference: bool) -> str:
    """Why a diagnosis is not used; empty if it is.

    Args:
        diagnosis: of one rollout.
        passed: the verdict of the rollout's check.
        has_reference: whether the teacher saw a reference solution, which the reader of the diagnosis does not see.
    """
    if (diagnosis.step is None) != passed:
        return DISAGREES
    return MENTIONS_REFERENCE if has_reference and _REFERENCE.search(diagnosis.why) else ""
