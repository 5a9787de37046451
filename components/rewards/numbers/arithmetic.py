"""Evaluates sums and products of plain numbers exactly."""

import re
from fractions import Fraction

from components.rewards.numbers.numerals import fraction


def work_out(expression: str) -> Fraction | None:
    """The value of a short sum of products; None for a range (`10-15`), a date, or what cannot be evaluated."""
    if fraction(expression) is not None:
        return fraction(expression)
    if re.fullmatch(r"\d+-\d+", expression) and Fraction(expression.partition("-")[0]) < Fraction(
        expression.partition("-")[2]
    ):
        return None
    tokens = re.findall(r"\d+(?:\.\d+)?|\.\d+|[-+*/()]", expression)
    try:
        value, rest = _sum(tokens)
    except (ZeroDivisionError, IndexError, ValueError):
        return None
    return None if rest else value


def _sum(tokens: list[str]) -> tuple[Fraction, list[str]]:
    value, tokens = _product(tokens)
    while tokens and tokens[0] in "+-":
        sign, (term, rest) = tokens[0], _product(tokens[1:])
        value, tokens = (value + term if sign == "+" else value - term), rest
    return value, tokens


def _product(tokens: list[str]) -> tuple[Fraction, list[str]]:
    value, tokens = _factor(tokens)
    while tokens and tokens[0] in "*/":
        sign, (factor, rest) = tokens[0], _factor(tokens[1:])
        value, tokens = (value * factor if sign == "*" else value / factor), rest
    return value, tokens


def _factor(tokens: list[str]) -> tuple[Fraction, list[str]]:
    first, rest = tokens[0], tokens[1:]
    if first == "-":
        value, rest = _factor(rest)
        return -value, rest
    if first != "(":
        return Fraction(first), rest
    value, rest = _sum(rest)
    if rest[0] != ")":
        raise ValueError(f"{rest[0]!r} where a bracket closes")
    return value, rest[1:]
