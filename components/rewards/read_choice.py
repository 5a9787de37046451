"""The letter that a reply to a multiple-choice question chooses; one reader for training data and for benchmarks.

Every letter of the reply is judged by the words around it (choice_cues.py). What is said to be wrong never counts; the
strongest kind of statement decides:

1. The answer is named: `The answer is B`, `\\boxed{B}`, `I choose B`, `答案是B`, `选B`, `not A but B`. The last one.
2. The same with words between (`the answer is a bit subtle: C`); a letter alone on a line; a reply that begins with the
   letter (`B. Option A is …`, `(c) blue`).
3. The letter is said to be right (`C is correct`), or concluded (`so it must be C`).
4. A hedged statement (`it might be C`); a line that begins with a letter; the only letter in brackets; the only letter.
5. The reply is, or names as its answer, the text of one choice.

What follows a correction (`Wait, …`) replaces what was said before it. A question states nothing, nor does a thought
that was truncated. A reply that names several answers as its last word chooses none.
"""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum

from components.rewards import choice_cues as cues
from components.shared.thought import answer_of

LETTERS = "ABCDEFGHIJ"
_NEAR = 240
"""Characters before and after a letter that are looked at."""

_MARKUP = re.compile(r"\*+|`+|\\[()\[\]]|\$|\\(?:[,;! ]|quad\b)|(?<![A-Za-z0-9])_+|_+(?![A-Za-z0-9])|(?m:^\s*#+\s)")
_WRAPPED = re.compile(
    r"\\(?:text|textbf|textit|textrm|mathrm|mathbf|mathsf|bf|rm|bold|boldsymbol|underline)\s*\{([^{}]*)\}"
)
_BOXED = re.compile(r"\\f?box(?:ed)?\s*\{([^{}]*)\}")
_TAG = re.compile(r"<(/?)(?:final_?)?answer>", re.IGNORECASE)
_LISTED = re.compile(r"^\s*(?:[-•]\s+)?[(\[]?([A-J])\s*[.)\]:、．]\s*(?=\S)", re.MULTILINE)
_END_OF_SENTENCE = re.compile(r"(?<=[.!?。！？;；\n])")
# "Option (B" and the letter may be a capital anywhere, or small where brackets or the words around make it a choice.
_LETTER = re.compile(
    r"(?<![A-Za-z0-9_°+^&.])(?<![A-Za-z]')(?<!\d )([A-Ja-j])(?![A-Za-z0-9_]|['’][A-Za-z]|-[A-Za-z0-9]|\.[A-Za-z0-9]|[+#^=]|\s+[=+^]|\s*\(x\))"
)
_JOINT = re.compile(
    r"[\s\"')\]]*(?:,\s*(?:and|or)|[,、/&]|and|or|nor|和|与|或|及|以及|还是|跟)[\s\"'(\[]*(?:options?|choices?|answers?|选项)?[\s\"'(\[]*",
    re.IGNORECASE,
)
_SINGULAR = re.compile(
    r"^[\"')\]]*\s*(?:is|was|has|does|isn't|doesn't|lacks|fails|seems|looks|would|can|must|should|it)\b", re.IGNORECASE
)
_SMALL = re.compile(r"[\"')\]]*\s*(?:[.,;:!)\]]|$|\b(?:because|since|as it|is (?:correct|right|the))\b)")
_LINE_BEGINS = re.compile(r"[\s\"'(\[>•-]*(?:(?:option|choice|选项)\s*[\"'(\[]*)?", re.IGNORECASE)


class Strength(IntEnum):
    """How surely a letter is the answer; REFUTED: surely not."""

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
    """Letters that stand together (`A and D`), in a plain text, and what is said of them."""

    letters: str
    start: int
    strength: Strength


def read_choice(reply: str, choices: Sequence[str] = ()) -> str:
    """The letter, A to J, that a reply chooses; empty when it chooses none, or one that is not offered.

    Args:
        reply: what was said; reasoning in tags is taken out first.
        choices: texts of the choices, A first; without them every letter to J may be chosen.
    """
    text = plain(answer_of(reply))
    letter = _letter(text, LETTERS[: len(choices)] or LETTERS)
    offered = not choices or letter in LETTERS[: len(choices)]
    return (letter if offered else "") if letter else _choice_text(text, choices)


def listed_choices(question: str) -> tuple[str, ...]:
    """The texts of the choices that a question lists with letters (`A. red`), A first; none when it lists none."""
    text = plain(question)
    marks = [*_LISTED.finditer(text)]
    starts: list[re.Match[str]] = []
    for mark in marks:
        if mark[1] == "A":
            starts = [mark]
        elif starts and mark[1] == LETTERS[len(starts) % len(LETTERS)]:
            starts.append(mark)
    if len(starts) < 2:
        return ()
    ends = [*(mark.start() for mark in starts[1:]), len(text)]
    return tuple(text[mark.end() : end].strip().partition("\n")[0] for mark, end in zip(starts, ends, strict=True))


def plain(text: str) -> str:
    """The text without markup of Markdown and LaTeX, full-width characters made narrow, quotes straight."""
    text = unicodedata.normalize("NFKC", text.replace("\r\n", "\n"))
    text = text.translate(
        str.maketrans(
            {"’": "'", "‘": "'", "“": '"', "”": '"', "【": "[", "】": "]", "「": '"', "」": '"', "『": '"', "』": '"'}
        )
    )
    while (unwrapped := _WRAPPED.sub(r"\1", text)) != text:
        text = unwrapped
    text = _BOXED.sub(r" answer: \1 ", text)
    text = _TAG.sub(lambda found: "\n" if found[1] else "\nanswer: ", text)
    text = _MARKUP.sub("", text)
    # A statement that ends on the next line.
    return re.sub(
        r"(?i)(\b(?:is|be|answer|choice|option)|[:：是为])[ \t]*:?[ \t]*\n\s*(?=[(\[\"']?[A-Ja-j]\b)", r"\1: ", text
    ).strip()


def _letter(text: str, offered: str) -> str:
    """The chosen letter; what follows the last correction is asked first."""
    corrections = [found.end() for found in cues.CORRECTS.finditer(text)]
    if corrections and (letter := _decide(text[corrections[-1] :].strip(), offered, Strength.HEDGED)):
        return letter
    return _decide(text, offered, Strength.MENTIONED)


def _decide(text: str, offered: str, weakest: Strength) -> str:
    judged = [*_judged(text)]
    refuted = {letter for one in judged if one.strength == Strength.REFUTED for letter in one.letters}
    for strength in sorted(Strength, reverse=True):
        if strength < max(weakest, Strength.LINE):
            break
        said = [one for one in judged if one.strength == strength]
        if strength in {Strength.RIGHT, Strength.LINE} and len({one.letters for one in said}) > 1:
            said = [one for one in said if not set(one.letters) <= refuted]
            if len({one.letters for one in said}) > 1:
                continue
        if said:
            return said[-1].letters if len(said[-1].letters) == 1 else ""
    return "" if weakest > Strength.MENTIONED else _only_letter(text, judged, refuted, offered)


def _only_letter(text: str, judged: Sequence[Judged], refuted: set[str], offered: str) -> str:
    """The only letter in brackets that is not refuted, else the only one; only letters that are offered."""
    open_ones = [one for one in judged if one.strength == Strength.MENTIONED and not set(one.letters) & refuted]
    bracketed = {one.letters for one in open_ones if re.search(r"[(\[]\s*$", text[: one.start])}
    for letters in (bracketed, {letter for one in open_ones for letter in one.letters}):
        if len(letters) == 1 and (letter := next(iter(letters))) in offered and letter != "I":
            return letter
    return ""


def _judged(text: str) -> Iterator[Judged]:
    """Every group of letters in the text, judged."""
    in_order = "".join(found[1] for found in _LISTED.finditer(text)).startswith("AB")
    place = 0
    for sentence in _sentences(text):
        for letters, start, end in _groups(sentence):
            # A statement is near: sentences without an end would cost the square of their length.
            before, after = sentence[max(0, start - _NEAR) : start], sentence[end : end + _NEAR]
            if _is_choice(letters, before, after):
                begins = place + start
                strength = _strength(letters, before, after, text, begins, in_order)
                yield Judged(letters.upper(), begins, strength)
        place += len(sentence)


def _sentences(text: str) -> Iterator[str]:
    """Sentences with what ends them; `B.` at a beginning, `e.g.` and decimals end none."""
    held = ""
    for part in _END_OF_SENTENCE.split(text):
        held += part
        ends = not held.endswith(".") or not re.search(
            r"(?:\d|\b(?:e\.g|i\.e|etc|vs|cf|no|fig|dr|mr|mrs))\.$", held, re.IGNORECASE
        )
        if ends:
            yield held
            held = ""
    if held:
        yield held


def _groups(sentence: str) -> Iterator[tuple[str, int, int]]:
    """Letters with where they begin and end; those that are joined by `and`, `or` or commas come as one."""
    found = [*_LETTER.finditer(sentence)]
    index = 0
    while index < len(found):
        last = index
        while last + 1 < len(found) and _are_joined(sentence, found[last], found[last + 1]):
            last += 1
        if (
            last > index
            and "," in sentence[found[last - 1].end() : found[last].start()]
            and _stands_apart(sentence, found[last - 1], found[last])
        ):
            last -= 1
        members = found[index : last + 1]
        yield "".join(one[1] for one in members), members[0].start(1), members[-1].end(1)
        index = last + 1


def _are_joined(sentence: str, one: re.Match[str], following: re.Match[str]) -> bool:
    same_case = one[1].isupper() == following[1].isupper()
    return same_case and bool(_JOINT.fullmatch(sentence, one.end(), following.start()))


def _stands_apart(sentence: str, one: re.Match[str], last: re.Match[str]) -> bool:
    """Whether the last letter after a mere comma begins a clause of its own: `B, C is too dark`."""
    return not re.search(r"\b(?:and|or)\b", sentence[one.end() : last.start()]) and bool(
        _SINGULAR.match(sentence[last.end() :])
    )


def _is_choice(letters: str, before: str, after: str) -> bool:
    """Whether letters are those of choices, not an article, a pronoun, a unit or a name."""
    if len(letters) > 1:
        return letters.isupper() or (
            letters.islower() and bool(re.search(r"\b(?:options?|choices?|answers?)\s*[(\[]?$", before, re.IGNORECASE))
        )
    if cues.NAMES.search(before):
        return False
    bracketed = bool(re.search(r"[(\[]\s*$", before) and re.match(r"\s*[)\]]", after))
    named = bool(
        cues.STATES.search(before) or re.search(r"\b(?:option|choice|answer)s?\s*[\"'(]*$", before, re.IGNORECASE)
    )
    if letters.islower():
        begins = not before.strip(" \"'([-") and bool(
            re.match(r"\s*(?:[.):\]]\s+\S|、|[.)\]]?\s*$|is (?:correct|right)\b)", after)
        )
        return (
            begins
            or bracketed
            or (named and (letters != "a" or bool(_SMALL.match(after))) and not after.startswith(" bit"))
        )
    if letters == "I":
        return bracketed or (named and not re.match(r"\s+[a-z']", after)) or not (before + after).strip(" .")
    return (
        letters != "A"
        or bracketed
        or re.search(r"\b(?:option|choice)\s*$", before, re.IGNORECASE) is not None
        or not cues.ARTICLE.match(after)
    )


def _strength(letters: str, before: str, after: str, text: str, start: int, in_order: bool) -> Strength:  # noqa: PLR0917 - the facts of one mention
    """What is said of letters, by the words before and after them."""
    if cues.ALL_BUT.search(before):
        return Strength.NAMED if cues.ALL_WRONG.match(after) else Strength.MENTIONED
    if cues.REFUTES.search(before) or cues.IS_WRONG.match(after):
        return Strength.REFUTED
    if (verdict := cues.VERDICT.match(text[start + len(letters) :])) is not None and len(letters) == 1:
        return Strength.RIGHT if verdict["right"] else Strength.REFUTED
    if re.search(r"[?？]\s*$", after) and before.strip():
        return Strength.ASKED
    if in_order and (verdict := _of_item(text, start)) is not None:
        return verdict
    positive = _positive(before, after, text, start, in_order)
    conditional = cues.WOULD_BE.search(before + after) and cues.CONDITION.match(after)
    weak = (cues.HEDGES.search(before) or conditional) and positive not in {Strength.BEGINS, Strength.LINE}
    return min(positive, Strength.HEDGED) if weak else positive


def _positive(before: str, after: str, text: str, start: int, in_order: bool) -> Strength:
    later = cues.STATES_LATER.search(before)
    concludes = cues.CONCLUDES.search(before)
    if cues.STATES.search(before) or cues.IS_THE_ANSWER.match(after):
        return Strength.NAMED
    if later and not _LETTER.search(later["between"].upper()) and not cues.REFUTES.search(later["between"]):
        return Strength.NAMED_LATER
    if (line := _begins_line(before, after, text, start, in_order)) is not None:
        return line
    if cues.IS_RIGHT.match(after):
        return Strength.RIGHT
    if concludes and (not cues.CONNECTIVE_ALONE.search(before) or cues.CLAUSE_ENDS.match(after)):
        return Strength.CONCLUDED
    return Strength.MENTIONED


def _of_item(text: str, start: int) -> Strength | None:
    """What a list of the choices says of one, in the line that begins with its letter; None where nothing."""
    if not _LINE_BEGINS.fullmatch(text[:start].rpartition("\n")[2]):
        return None
    line = text[start + 1 :].partition("\n")[0]
    if cues.ITEM_IS_WRONG.match(line):
        return Strength.REFUTED
    return Strength.RIGHT if cues.ITEM_IS_RIGHT.match(line) else None


def _begins_line(before: str, after: str, text: str, start: int, in_order: bool) -> Strength | None:
    """The strength of a letter that begins a line, or is all of it; None for any other.

    Lines that begin with A, B, … in that order list the choices, and choose none.
    """
    line_before = text[:start].rpartition("\n")[2]
    if not _LINE_BEGINS.fullmatch(before) or not _LINE_BEGINS.fullmatch(line_before):
        return None
    line_after = text[start + 1 :].partition("\n")[0]
    if not line_after.strip(" \"')].,:;。、!"):
        return Strength.NAMED_LATER
    marked = re.match(r"\s*[)\].:,、;。—–]|\s+-\s|\s+(?![a-z])|\s+(?:because|since|as)\b|[^\x00-\x7f]", line_after)
    if not marked or in_order:
        return None
    return Strength.BEGINS if _LINE_BEGINS.fullmatch(text[:start]) else Strength.LINE


def _choice_text(text: str, choices: Sequence[str]) -> str:
    """The letter of the one choice whose text the reply is, or names as its answer."""
    stated = re.findall(
        r"(?im)\banswer\b[^.\n:]{0,40}?(?:\bis|:)\s*:?\s*(.+?)\s*[.。]?\s*$|答案(?:是|为|:)+\s*(.+?)[.。]?$", text
    )
    for said in (text, *(one or other for one, other in reversed(stated))):
        same = [
            letter
            for letter, choice in zip(LETTERS, choices, strict=False)
            if _bare(said) and _bare(plain(choice)) == _bare(said)
        ]
        if len(same) == 1:
            return same[0]
    return ""


def _bare(text: str) -> str:
    return text.strip().strip(".。\"'!").strip().casefold()
