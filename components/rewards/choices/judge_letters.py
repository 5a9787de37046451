"""What a text says about the letters in it: refuted, mentioned or stated, and how strongly."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

from components.rewards.choices import cues
from components.rewards.choices.letters import Letters, find_letters, has_letter

LISTED = re.compile(r"^\s*(?:[-•]\s+)?[(\[]?([A-J])\s*[.)\]:、．]\s*(?=\S)", re.MULTILINE)
"""A choice at the beginning of a line."""

_LISTED_IN_LINE = re.compile(r"\bA\s*[).:].{1,200}?\bB\s*[).:].{1,200}?\bC\s*[).:]")
_LINE_BEGINS = re.compile(r"[\s\"'(\[>•-]*(?:(?:option|choice|选项)\s*[\"'(\[]*)?", re.IGNORECASE)
_MARKED = re.compile(
    r"\s*[)\].:,、;。—–]|\s+-\s|\s+(?![a-z])|\s+(?:because|since|as)\b|\s+is my\b|[^\x00-\x7f]", re.IGNORECASE
)


class Strength(IntEnum):
    """How strongly a letter is stated as the answer; REFUTED: it is not the answer."""

    REFUTED = -2
    ASKED = -1
    MENTIONED = 0
    LINE = 1
    HEDGED = 2
    CONCLUDED = 3
    RIGHT = 4
    BEGINS = 5
    NAMED_LATER = 6
    NAMED = 7


@dataclass(frozen=True)
class Judged:
    """Letters that are named together, their position in the text, and what is said about them."""

    names: str
    start: int
    strength: Strength


def judge_letters(text: str) -> Iterator[Judged]:
    """Judge every group of letters in plain text."""
    listed = "".join(found[1] for found in LISTED.finditer(text)).startswith("AB")
    in_order = listed or bool(_LISTED_IN_LINE.search(text))
    for letters in find_letters(text):
        yield Judged(letters.names, letters.start, _strength(letters, text, in_order))


def _strength(letters: Letters, text: str, in_order: bool) -> Strength:
    """What is said about letters, by the words before and after them."""
    before, after = letters.before, letters.after
    if cues.ALL_BUT.search(before):
        return Strength.NAMED if cues.ALL_WRONG.match(after) else Strength.MENTIONED
    if cues.REFUTES.search(before) or cues.IS_WRONG.match(after):
        return Strength.REFUTED
    rest = text[letters.start + len(letters.names) :]
    if len(letters.names) == 1 and (verdict := cues.VERDICT.match(rest)) is not None:
        return Strength.RIGHT if verdict["right"] else Strength.REFUTED
    if re.search(r"[?？]\s*$", after) and before.strip():
        return Strength.ASKED
    if in_order and (said := _of_item(letters, text)) is not None:
        return said
    return _weakened(_positive(letters, text, in_order), before, after)


def _weakened(strength: Strength, before: str, after: str) -> Strength:
    """Hedged where the words around it hedge; a letter that begins a line needs no words."""
    conditional = cues.WOULD_BE.search(before + after) and cues.CONDITION.match(after)
    clause = cues.CLAUSE_BEGINS.split(before)[-1]
    weak = (cues.HEDGES.search(clause) or conditional) and strength not in {Strength.BEGINS, Strength.LINE}
    return min(strength, Strength.HEDGED) if weak else strength


def _positive(letters: Letters, text: str, in_order: bool) -> Strength:
    before, after = letters.before, letters.after
    if cues.STATES.search(before) or cues.IS_THE_ANSWER.match(after):
        return Strength.NAMED
    later = cues.STATES_LATER.search(before)
    if later and not has_letter(later["between"]) and not cues.REFUTES.search(later["between"]):
        return Strength.NAMED_LATER
    if (line := _begins_line(letters, text, in_order)) is not None:
        return line
    if cues.IS_RIGHT.match(after):
        return Strength.RIGHT
    if cues.CONCLUDES.search(before) and (not cues.CONNECTIVE_ALONE.search(before) or cues.CLAUSE_ENDS.match(after)):
        return Strength.CONCLUDED
    return Strength.MENTIONED


def _of_item(letters: Letters, text: str) -> Strength | None:
    """What a list of the choices says about one, in the line that begins with its letter; None without a verdict."""
    if not _LINE_BEGINS.fullmatch(text[: letters.start].rpartition("\n")[2]):
        return None
    line = text[letters.start + 1 :].partition("\n")[0]
    if cues.ITEM_IS_WRONG.match(line):
        return Strength.REFUTED
    return Strength.RIGHT if cues.ITEM_IS_RIGHT.match(line) else None


def _begins_line(letters: Letters, text: str, in_order: bool) -> Strength | None:
    """The strength of a letter that begins or is a complete line; None for any other.

    Lines that begin with A, B, … in order list the choices and choose none.
    """
    earlier, _, line_before = text[: letters.start].rpartition("\n")
    if not _LINE_BEGINS.fullmatch(letters.before) or not _LINE_BEGINS.fullmatch(line_before):
        return None
    line_after = text[letters.start + 1 :].partition("\n")[0]
    if not line_after.strip(" \"')].,:;。、!?"):
        return Strength.NAMED_LATER
    if in_order or not _MARKED.match(line_after):
        return None
    return Strength.LINE if earlier.strip() else Strength.BEGINS
