"""The letter that a reply to a multiple-choice question chooses; one reader for training data and for benchmarks.

Every letter of the reply is judged by the words around it (cues.py). A letter that is said to be wrong never counts;
the strongest kind of statement decides:

1. The answer is named: `The answer is B`, `\\boxed{B}`, `I choose B`, `答案是B`, `选B`, `not A but B`. The last one.
2. The same with words between (`the answer is a bit subtle: C`); a letter alone on a line; a reply that begins with the
   letter (`B. Option A is …`, `(c) blue`).
3. The letter is said to be right (`C is correct`), or concluded (`so it must be C`).
4. A hedged statement (`it might be C`); a line that begins with a letter; the only letter in brackets; the only letter.
5. The reply is, or names as its answer, the text of one choice.

What follows a correction (`Wait, …`) replaces what came before it. Questions and truncated thoughts state nothing. A
reply that finally names several answers chooses none.
"""

import re
import unicodedata
from collections.abc import Sequence

from components.rewards.another_question import first_answer
from components.rewards.choices import cues
from components.rewards.choices.judge_letters import LISTED, Judged, Strength, judge_letters
from components.shared.thought import answer_of

LETTERS = "ABCDEFGHIJ"

_ONE_OF_A_KIND = frozenset({Strength.RIGHT, Strength.HEDGED, Strength.LINE})
"""Statements of these kinds contradict each other where they name different letters."""
_STATED_TEXT = re.compile(
    r"\banswer\b[^.\n:]{0,40}?(?:\bis|:)\s*:?\s*(.+?)\s*[.。]?\s*$|答案(?:是|为|:)+\s*(.+?)[.。]?$",
    re.IGNORECASE | re.MULTILINE,
)

_MARKUP = re.compile(
    r"\*+|`+|\\[()\[\]]|\$|\\(?:[,;! ]|quad\b)|(?<![A-Za-z0-9])_+|_+(?![A-Za-z0-9])|(?m:^\s*#+\s)"
    r"|<\|[a-z_]+\|>|</?(?:b|s|i|em|strong)>"
)
_WRAPPED = re.compile(
    r"\\(?:text|textbf|textit|textrm|mathrm|mathbf|mathsf|bf|rm|bold|boldsymbol|underline)\s*\{([^{}]*)\}"
)
_BOXED = re.compile(r"\\f?box(?:ed)?\s*\{([^{}]*)\}")
_TAG = re.compile(r"<(/?)(?:final_?)?answer>", re.IGNORECASE)
_QUOTES = str.maketrans("’‘“”【】「」『』", '\'\'""[]""""')
_NEXT_LINE = re.compile(r"(?i)(\b(?:is|be|answer|choice|option)|[:：是为])[ \t]*:?[ \t]*\n\s*(?=[(\[\"']?[A-Ja-j]\b)")


def read_choice(reply: str, choices: Sequence[str] = ()) -> str:
    """The letter, A to J, that a reply chooses; empty when it chooses none, or one that is not offered.

    Args:
        reply: the complete reply; reasoning in tags is removed first.
        choices: texts of the choices, A first; without them every letter up to J may be chosen.
    """
    text = plain(first_answer(answer_of(reply), lambda said: bool(_read(plain(said), choices))))
    return _read(text, choices)


def _read(text: str, choices: Sequence[str]) -> str:
    offered = LETTERS[: len(choices)] or LETTERS
    letter = _letter(text, offered)
    return (letter if letter in offered else "") if letter else _choice_text(text, choices)


def listed_choices(question: str) -> tuple[str, ...]:
    """The texts of the choices that a question lists with letters (`A. red`), A first; none when it lists none."""
    text = plain(question)
    marks: list[re.Match[str]] = []
    for mark in LISTED.finditer(text):
        if mark[1] == "A":
            marks = [mark]
        elif marks and mark[1] == LETTERS[len(marks) % len(LETTERS)]:
            marks.append(mark)
    if len(marks) < 2:
        return ()
    ends = [*(mark.start() for mark in marks[1:]), len(text)]
    return tuple(text[mark.end() : end].strip().partition("\n")[0] for mark, end in zip(marks, ends, strict=True))


def _letter(text: str, offered: str) -> str:
    """The chosen letter; what follows the last correction has priority."""
    corrections = [found.end() for found in cues.CORRECTS.finditer(text)]
    if corrections:
        judged = [*judge_letters(text[corrections[-1] :].strip())]
        if letter := _decide(judged, Strength.HEDGED):
            return letter
    judged = [*judge_letters(text)]
    letter = _decide(judged, Strength.LINE)
    return _only_letter(text, judged, offered) if letter is None else letter


def _decide(judged: Sequence[Judged], weakest: Strength) -> str | None:
    """The letter of the strongest statement; empty where that names several, None where nothing is stated."""
    refuted = {letter for one in judged if one.strength == Strength.REFUTED for letter in one.names}
    for strength in range(Strength.NAMED, weakest - 1, -1):
        said = [one for one in judged if one.strength == strength]
        if strength in _ONE_OF_A_KIND and len({one.names for one in said}) > 1:
            said = [one for one in said if not set(one.names) <= refuted]
            if len({one.names for one in said}) > 1:
                continue
        if said:
            return said[-1].names if len(said[-1].names) == 1 else ""
    return None


def _only_letter(text: str, judged: Sequence[Judged], offered: str) -> str:
    """The only offered letter in brackets that is not refuted, or else the only one."""
    refuted = {letter for one in judged if one.strength == Strength.REFUTED for letter in one.names}
    left = [one for one in judged if one.strength >= Strength.MENTIONED and not set(one.names) & refuted]
    bracketed = {one.names for one in left if re.search(r"[(\[]\s*$", text[: one.start])}
    for names in (bracketed, {letter for one in left for letter in one.names}):
        if len(names) == 1 and (letter := next(iter(names))) in offered and letter != "I":
            return letter
    return ""


def _choice_text(text: str, choices: Sequence[str]) -> str:
    """The letter of the only choice whose text the reply equals or names as its answer."""
    stated = [one or other for one, other in _STATED_TEXT.findall(text)]
    for said in (text, *reversed(stated)):
        same = [letter for letter, choice in zip(LETTERS, choices, strict=False) if _bare(plain(choice)) == _bare(said)]
        if len(same) == 1 and _bare(said):
            return same[0]
    return ""


def _bare(text: str) -> str:
    return text.strip().strip(".。\"'!").strip().casefold()


def plain(text: str) -> str:
    """A reply without Markdown and LaTeX markup, with narrow characters and straight quotes.

    A box becomes `answer: …`, and a statement that ends on the next line is joined with it.
    """
    text = unicodedata.normalize("NFKC", text.replace("\r\n", "\n")).translate(_QUOTES)
    while (unwrapped := _WRAPPED.sub(r"\1", text)) != text:
        text = unwrapped
    text = _BOXED.sub(r" answer: \1 ", text)
    text = _TAG.sub(lambda found: "\n" if found[1] else "\nanswer: ", text)
    return _NEXT_LINE.sub(r"\1: ", _MARKUP.sub("", text)).strip()
