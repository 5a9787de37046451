"""Answers in words: `no solution`, `True`, `June 5`, `isosceles`."""

import re

from components.rewards.mathematics.members import parse_answer
from components.rewards.mathematics.plain_math import is_words, plain_math
from components.rewards.mathematics.quantities import quantity
from components.rewards.mathematics.read_statement import Statement
from components.rewards.mathematics.times import MONTHS
from components.rewards.mathematics.values import value_of

_NONE = re.compile(
    r"(?:there (?:is|are) )?no (?:real |valid |such |integer )?(?:solutions?|values?|roots?|answer)(?: exists?)?"
    r"|\\emptyset|empty set|\{\s*\}|none|does not exist|dne|undefined|无解|不存在",
    re.IGNORECASE,
)
_NEGATES = re.compile(r"(?:\b(?:not|no|never|cannot)\b|n't)(?:\s+\w+){0,3}\s*$|不(?:是)?$", re.IGNORECASE)
_OPPOSITES = (
    {"true", "false"},
    {"yes", "no"},
    {"even", "odd"},
    {"increasing", "decreasing"},
    {"是", "否"},
    {"对", "错"},
)
_COPULA = re.compile(
    r"(?:\b(?:is|was|are|were|be|on|called|named|in|at|an?|the|equals|becomes)|[=:]|是|为|在)\s*(?:the |an? )?$"
)
_OR = re.compile(r"\bor\b|或")


def is_phrase(gold: str) -> bool:
    """Whether a gold answer is words, not values with their units."""
    values = parse_answer(gold)
    parts = [values] if isinstance(values, str) else [value for value in values.values if isinstance(value, str)]
    return any(is_words(quantity(value_of(part)).body) for part in parts)


def both_none(first: str, second: str) -> bool:
    """Whether both state that there is no solution."""
    return bool(_NONE.fullmatch(first) and _NONE.fullmatch(second))


def says(gold: str, statement: Statement) -> bool:
    """Whether a statement or the last sentence contains the gold words, neither negated nor with their opposite.

    In a sentence without a statement they must come first, or after `is` and the like, so that other names in the
    sentence do not count.
    """
    sentence = (statement.text if statement.marked else statement.sentence).casefold()
    words = plain_math(gold).casefold()
    if _NONE.fullmatch(gold):
        return bool(_NONE.search(sentence)) and "{" not in sentence
    found = [*re.finditer(rf"(?<!\w){re.escape(words)}(?!\w)", sentence)]
    if not found or _NEGATES.search(sentence[: found[-1].start()]):
        return False
    if not statement.marked and found[0].start() and not _COPULA.search(sentence[: found[-1].start()]):
        return False
    return not _has_rival(words, sentence, statement.marked)


def _has_rival(words: str, sentence: str, marked: bool) -> bool:
    """Whether the sentence names another answer of the same kind besides the gold one."""
    opposites = next((pair for pair in _OPPOSITES if words in pair), set[str]())
    if any(re.search(rf"(?<!\w){word}(?!\w)", sentence) for word in opposites - {words}):
        return True
    if MONTHS.search(words) and len(MONTHS.findall(sentence)) > 1:
        return True
    return marked and bool(_OR.search(sentence)) and not _OR.search(words)
