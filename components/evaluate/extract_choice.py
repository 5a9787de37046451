"""The letter that a reply to a multiple-choice question chooses.

Rules, in order; the first that finds a letter decides:

1. The reply is one letter, in any case, with marks around it: `B`, `(b)`, `**B**.`
2. The last statement of an answer: `The answer is B`, `Answer: (B)`, `option B is correct`, `\\boxed{B}`, `答案是B`,
   `答案：B`, `选B`, `故选（B）`.
3. The reply begins with the letter and a mark or a line's end: `B. because …`, `B) …`, `B、…`.
4. The only letter in brackets: `I would take (C)`.
5. The only capital letter that stands alone, the article `A` aside: `it must be C then`.
6. The reply is the text of one choice.

Otherwise the reply chooses nothing, and is wrong.
"""

import re
from collections.abc import Sequence

LETTERS = "ABCDEFGHIJ"
OPEN, CLOSE = r"[(（\[【「《\"'“‘*_$\s]*", r"[)）\]】」》\"'”’*_$\s]*"
ENGLISH = (
    r"(?i:answer|choice|option)s?\s*(?i:is|are|would be|should be|must be|:|：|=|-)?\s*"
    r"(?i:option|choice|letter)?\s*[:：]?"
)
CHINESE = r"(?:答案|选项|故选|应选|应该选|所以选|选择|正确的是|选)\s*(?:应该|应)?(?:是|为|：|:)?\s*(?:选项|选)?"


def chosen_letter(reply: str, choices: Sequence[str]) -> str:
    """The chosen letter, or an empty text when the reply chooses nothing.

    Args:
        reply: what the model said.
        choices: texts of the choices, A first.
    """
    allowed = LETTERS[: len(choices)] or LETTERS[:4]
    return (
        _alone(reply, allowed)
        or _stated(reply, allowed)
        or _leading(reply, allowed)
        or _only(rf"[(（\[【]([{allowed}])[)）\]】]", reply)
        or _only(rf"(?<![A-Za-z'’])(?!A (?!and |or )[a-z])([{allowed}])(?![A-Za-z'’])", reply)
        or _choice_text(reply, choices)
    )


def _alone(reply: str, allowed: str) -> str:
    found = re.fullmatch(rf"{OPEN}([{allowed}]){CLOSE}[.。,，、:：]?{CLOSE}", reply, re.IGNORECASE)
    return found[1].upper() if found else ""


def _stated(reply: str, allowed: str) -> str:
    letter = rf"{OPEN}(?!A [a-z])([{allowed}])(?![A-Za-z'’])"
    found = re.findall(rf"\\boxed\{{{OPEN}([{allowed}])|{ENGLISH}{letter}|{CHINESE}{letter}", reply)
    return next(filter(None, found[-1]), "") if found else ""


def _leading(reply: str, allowed: str) -> str:
    found = re.match(rf"{OPEN}([{allowed}])(?:[)）\]】\"'”’*.。,，、:：;；]|\s*(?:\n|$)|\s+(?![a-z]))", reply)
    return found[1] if found else ""


def _only(pattern: str, reply: str) -> str:
    letters = set(re.findall(pattern, reply))
    return str(letters.pop()) if len(letters) == 1 else ""


def _choice_text(reply: str, choices: Sequence[str]) -> str:
    text = _plain(reply)
    same = [letter for letter, choice in zip(LETTERS, choices, strict=False) if text and _plain(choice) == text]
    return same[0] if len(same) == 1 else ""


def _plain(text: str) -> str:
    return text.strip().strip(".。\"'“”").casefold()
