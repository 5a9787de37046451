"""Quantities: a value with its unit, or a share in per cent; compared exactly, without algebra."""

import re
from dataclasses import dataclass
from fractions import Fraction

from components.rewards.mathematics.units import PERCENT, canonical_unit, common_factors
from components.rewards.numbers.numerals import fraction

_SYMBOLS = frozenset({"m", "g", "s", "h", "l", "L", "N", "J", "W", "V", "K"})
_PREFIXED = re.compile(r"([-+]?)\s*(?:US|HK|C|A)?\\?([$€£¥])\s*(.+)")
_MARK = r"%|\\%|¢|[$€£¥]|\^\{\\circ\}(?:\s*[CF])?"
_WITH_UNIT = re.compile(
    rf"(.*?(?:[\d)}}\]]|\\pi))\s*({_MARK}|(?:\s|(?<=\d)|(?<=[)}}\]])|(?<=\\pi))"
    r"[A-Za-z\u4e00-\u9fff][A-Za-z\u4e00-\u9fff./ ^{}\d-]*)"
)
_NO_UNITS = frozenset(
    {"pi", "sqrt", "sin", "cos", "tan", "log", "ln", "e", "i", "and", "or", "to", "x", "y", "z", "n", "mod", "times"}
)
_LATEX_FRACTION = re.compile(r"(\d)?\s*\\frac\{(-?\d+(?:\.\d+)?)\}\{(\d+(?:\.\d+)?)\}")


@dataclass(frozen=True)
class Quantity:
    """A body (a number or an expression, in plain notation) and its canonical unit; empty without a unit."""

    body: str
    unit: str


def quantity(text: str) -> Quantity:
    """Split a plain text into body and unit."""
    text = text.strip().rstrip(".")
    prefixed = _PREFIXED.fullmatch(text)
    if prefixed:
        rest = quantity(prefixed[3])
        return Quantity(prefixed[1] + rest.body, canonical_unit(prefixed[2]))
    found = _WITH_UNIT.fullmatch(text)
    if found and _is_unit(found[2].strip(), text[found.end(1) :]):
        return Quantity(found[1].strip(), canonical_unit(found[2].strip()))
    return Quantity(text, "")


def number(body: str) -> Fraction | None:
    """The exact value of a plain body that is a number, a fraction or a mixed number; else None."""
    body = _LATEX_FRACTION.sub(lambda found: f"{found[1] + ' ' if found[1] else ''}{found[2]}/{found[3]}", body).strip()
    if re.fullmatch(r"\(-?\d[^()]*\)", body):
        body = body[1:-1]
    body = re.sub(r"^([-+])\s+", r"\1", body)
    return fraction(body)


def equal_quantities(gold: Quantity, reply: Quantity) -> bool | None:
    """Whether two quantities are equal; None where their bodies are not numbers, so that algebra must decide.

    A unit that only one side gives is taken for granted; two units have to be of one kind. 20% is 0.2, and 20 where a
    number of per cent was asked for.
    """
    first, second = number(gold.body), number(reply.body)
    exact = first is not None and second is not None
    if PERCENT in {gold.unit, reply.unit} and gold.unit != reply.unit and not (gold.unit and reply.unit):
        assert exact or first is None or second is None
        return _equal_per_cent(first, gold.unit, second) if first is not None and second is not None else None
    factors = common_factors(gold.unit, reply.unit)
    if factors is None:
        return False
    if first is None or second is None:
        return None if factors[0] == factors[1] else False
    return first * factors[0] == second * factors[1]


def _equal_per_cent(gold: Fraction, gold_unit: str, reply: Fraction) -> bool:
    share, bare = (gold, reply) if gold_unit else (reply, gold)
    return bare == share / 100 or (bare == share and (bool(gold_unit) or bare > 1))


def _is_unit(word: str, written: str) -> bool:
    """Whether what follows a value is a unit, not a factor: `35 cm` and `3 eggs`, but not `2x` or `3 pi`."""
    plain = re.sub(r"[\s.^{}\d-]", "", word)
    if not plain or re.fullmatch(_MARK, word):
        return True
    first = re.split(r"[\s/^]", word)[0]
    if first.lower() in _NO_UNITS and first not in _SYMBOLS:
        return False
    if len(plain) == 1 and plain.isascii():
        return plain in _SYMBOLS and written.startswith(" ")
    return len(first) > 1 or first in _SYMBOLS or not first.isascii()
