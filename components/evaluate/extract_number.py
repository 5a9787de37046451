"""The number that a reply states, and whether two numbers are equal.

Rules, in order: the last number after a statement (`The answer is 18`, `#### 18`, `\\boxed{18}`, `答案是18`); else the
last number of the reply; else none. Thousands' commas, `$` and a full stop at the end are no part of it; `1/2` is one.
"""

import re
from fractions import Fraction

NUMBER = r"-?\$?\d[\d,]*(?:\.\d+)?(?:/\d+)?|-?\$?\.\d+"
STATED = re.compile(
    r"(?:####|\\boxed\{|answers?\s*(?:is|are|:|=)|答案(?:是|为|：|:)?)[^\d\n-]{0,20}?(" + NUMBER + ")", re.IGNORECASE
)
ANY = re.compile(NUMBER)


def stated_number(reply: str) -> str:
    """The number as it is written, or an empty text."""
    text = reply.replace("−", "-").replace("–", "-")
    found = STATED.findall(text) or ANY.findall(text)
    return str(found[-1]) if found else ""


def same_number(left: str, right: str) -> bool:
    """Whether two written numbers have one value; texts that are no numbers have none."""
    first, second = _value(left), _value(right)
    return first is not None and first == second


def _value(text: str) -> Fraction | None:
    try:
        return Fraction(text.strip().replace(",", "").replace("$", "").rstrip("."))
    except (ValueError, ZeroDivisionError):
        return None
