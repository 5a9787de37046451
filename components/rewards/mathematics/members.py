"""Parses an answer into members: lists, sets, tuples, intervals and unions, each with its brackets."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

_JOINTS = re.compile(r"\s*(?:[,;、]\s*(?:and|or)?(?![A-Za-z])|\b(?:and|or)\b|和|或|及)\s*", re.IGNORECASE)
_UNION = re.compile(r"\s*\\cup\s*")
_PAIRS = {"(": ")", "[": "]", "{": "}"}
_DEPTH = {"(": 1, "[": 1, "{": 1, ")": -1, "]": -1, "}": -1}
NAME = re.compile(
    r"(\\?[A-Za-z]+(?:_\{?\w+\}?)?(?:\([A-Za-z](?:,\s*[A-Za-z])*\))?'?)\s*(?:=|\\in(?![a-z])|:(?=\s*[A-Za-z]))\s*(.+)",
    re.DOTALL,
)
"""The name of a value, and the value: `x = 5`, `f(x) = x^2`, `x \\in (0,1)`."""
_ALL_REAL = re.compile(r"all real numbers|all reals|(?:x\s*\\in\s*)?\\mathbb\s*\{?R\}?", re.IGNORECASE)
_VARIABLE = re.compile(r"\\?[A-Za-z]+(?:_\{?\w+\}?)?")
_SIGN = re.compile(r"\s*(\\le|\\ge|<|>)(?![a-z])\s*")
_TURNED = {"<": ">", ">": "<", r"\le": r"\ge", r"\ge": r"\le"}


@dataclass(frozen=True)
class Members:
    """Values in common brackets.

    Attributes:
        brackets: `()`, `[)`, …, where order counts; `{}` or none, where it does not; `∪` for a union.
        values: the members.
    """

    brackets: str
    values: tuple["str | Members", ...]


ParsedAnswer = str | Members


def parse_answer(text: str) -> ParsedAnswer:
    """The members of an answer in plain notation; the text itself where it is a single value."""
    text = re.sub(r"\s*(?:,|\s)\s*(?:where|with|for)\s.*$", "", text.strip().rstrip("."))
    if _ALL_REAL.fullmatch(text):
        return Members("()", (r"-\infty", r"\infty"))
    if (interval := _interval(text)) is not None:
        return interval
    if (signs := _both_signs(text)) is not None:
        return Members("", signs)
    unions = split_members(text, _UNION)
    if len(unions) > 1:
        return Members("∪", tuple(parse_answer(part) for part in unions))
    parts = split_members(text, _JOINTS)
    return Members("", flat(parts)) if len(parts) > 1 else _bracketed(text) or text


def name_of(text: str) -> str:
    """The name of a single value (`x = 5` → `x`); empty without a name, and for an equation."""
    found = NAME.fullmatch(text.strip())
    return found[1].replace(" ", "") if found and "=" not in found[2] else ""


def in_order_of_names(members: Members) -> Members:
    """`y = 4, x = 3` as the pair `(3, 4)`; anything else unchanged."""
    names = [name_of(value) if isinstance(value, str) else "" for value in members.values]
    if members.brackets or len(names) < 2 or not all(names) or len(set(names)) < len(names):
        return members
    pairs = sorted(zip(names, members.values, strict=True), key=lambda pair: pair[0])
    return Members("()", tuple(value for _, value in pairs))


def flat(parts: Sequence[str]) -> tuple[ParsedAnswer, ...]:
    """The values of several parts; those of lists are flattened."""
    values: list[ParsedAnswer] = []
    for part in parts:
        parsed = parse_answer(part)
        values.extend(parsed.values if isinstance(parsed, Members) and parsed.brackets in {"", "{}"} else [parsed])
    return tuple(values)


def split_members(text: str, joint: re.Pattern[str]) -> list[str]:
    """The text split at joints outside brackets; the brackets of a half-open interval match each other."""
    parts, depth, start, place = [], 0, 0, 0
    while place < len(text):
        if not depth and place and (found := joint.match(text, place)) and found.end() > place:
            parts.append(text[start:place])
            start = place = found.end()
            continue
        depth, place = max(0, depth + _DEPTH.get(text[place], 0)), place + 1
    return [part.strip() for part in [*parts, text[start:]] if part.strip()]


def _bracketed(text: str) -> Members | None:
    """A set, a tuple or an interval; None for a single value, with or without brackets."""
    name = NAME.fullmatch(text)
    inner = name[2] if name and re.match(r"[(\[{\\]", name[2]) else text
    inner = inner.strip().replace("\\{", "{").replace("\\}", "}")
    if inner[:1] not in _PAIRS or inner[-1:] not in _PAIRS.values() or not _closes_last(inner):
        return None
    members = split_members(inner[1:-1], _JOINTS)
    if len(members) < 2 and inner[0] != "{":
        return None
    return Members(inner[0] + inner[-1], tuple(parse_answer(part) for part in members))


def _interval(text: str) -> Members | None:
    """An inequality of one variable as an interval: `1 < x \\le 2` → `(1, 2]`; None for anything else."""
    parts = _SIGN.split(text.strip())
    if "=" in text or "\\ne" in text or len(parts) not in {3, 5}:
        return None
    if len(parts) == 5:
        return _between(parts)
    if _VARIABLE.fullmatch(parts[2]):
        parts = [parts[2], _TURNED[parts[1]], parts[0]]
    if not _VARIABLE.fullmatch(parts[0]):
        return None
    if parts[1] in {r"\ge", ">"}:
        return Members("[)" if parts[1] == r"\ge" else "()", (parts[2], r"\infty"))
    return Members("(]" if parts[1] == r"\le" else "()", (r"-\infty", parts[2]))


def _between(parts: list[str]) -> Members | None:
    low, first, middle, second, high = parts
    rises = {"<", r"\le"}
    if not _VARIABLE.fullmatch(middle) or (first in rises) != (second in rises):
        return None
    if first not in rises:
        low, first, second, high = high, _TURNED[second], _TURNED[first], low
    return Members(("[" if first == r"\le" else "(") + ("]" if second == r"\le" else ")"), (low, high))


def _both_signs(text: str) -> tuple[str, ...] | None:
    """`x = 1 \\pm 2` as its two values."""
    if text.count(r"\pm") != 1:
        return None
    name = NAME.fullmatch(text)
    value = (name[2] if name else text).strip()
    plus = "" if value.startswith(r"\pm") else "+"
    return tuple(re.sub(r"\\pm\s*", sign, value) for sign in (plus, "-"))


def _closes_last(text: str) -> bool:
    """Whether the last bracket of a text closes its first one."""
    depth = 0
    for place, sign in enumerate(text):
        depth += (sign in _PAIRS) - (sign in _PAIRS.values())
        if not depth:
            return place == len(text) - 1
    return False
