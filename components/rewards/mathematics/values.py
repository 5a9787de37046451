"""Single values compared: by text, as times, dates and quantities, and only then by algebra."""

import re
from collections.abc import Callable

from components.rewards.mathematics.members import NAME
from components.rewards.mathematics.plain_math import is_words, same_text
from components.rewards.mathematics.quantities import Quantity, equal_quantities, number, quantity
from components.rewards.mathematics.times import equal_dates, equal_times
from components.rewards.mathematics.units import PERCENT
from components.rewards.numbers.numerals import digits_for_words

Equal = Callable[[str, str], bool]
"""Algebraic equality: whether two expressions in plain LaTeX have the same value."""

_DEEPEST_POWER = 3
_RELATION = re.compile(r"\\(?:le|ge|ne|lt|gt)(?![a-z])|[<>]")


def value_of(text: str) -> str:
    """A value without its name: `x = 5` → `5`; the right side of `2 + 2 = 4`; other equations unchanged."""
    text = digits_for_words(text.strip())
    if _RELATION.search(text):
        return text
    left, _, right = text.rpartition("=")
    if left and not re.search(r"[A-Za-z]", re.sub(r"\\[A-Za-z]+", "", left)):
        return right.strip()
    found = NAME.fullmatch(text)
    if not found:
        return text
    return found[2].rpartition("=")[2].strip()


def equal_values(gold: str, reply: str, equal: Equal) -> bool:
    """Whether two single values in plain notation, without their names, are equal."""
    if same_text(gold, reply):
        return True
    if (times := equal_times(gold, reply)) is not None:
        return times
    if number(gold) is None and equal_times(reply, gold) is not None:
        return False
    first, second = quantity(gold), quantity(reply)
    if is_words(first.body) or is_words(second.body):
        return equal_dates(gold, reply)
    exact = equal_quantities(first, second)
    if exact is not None:
        return exact
    return _may_be_compared(first.body) and _may_be_compared(second.body) and equal(_body(first), _body(second))


def _body(one: Quantity) -> str:
    return one.body + (r"\%" if one.unit == PERCENT else "")


def _may_be_compared(body: str) -> bool:
    """Whether algebra may be tried: it does not terminate on towers of powers."""
    depth = deepest = 0
    for sign in re.findall(r"\^\{|[{}]", body):
        depth = depth + 1 if sign != "}" else max(0, depth - 1)
        deepest = max(deepest, depth)
    return not (body.count("^") > _DEEPEST_POWER and deepest > _DEEPEST_POWER)
