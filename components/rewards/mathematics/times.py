"""Times of day and ratios, both written with a colon, and dates."""

import re
from fractions import Fraction

from components.rewards.mathematics.quantities import number

_TIME = re.compile(
    r"(\d{1,2})(?::(\d{2})(?::\d{2})?\s*(?:o'clock)?|(?=\s*[ap]\.?m\b))\s*(a\.?m\.?|p\.?m\.?)?\.?", re.IGNORECASE
)
_RATIO = re.compile(r"\d+(?:\.\d+)?(?:\s*(?::|\bto\b)\s*\d+(?:\.\d+)?)+")
MONTHS = re.compile(
    r"\b(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sep(?:t(?:ember)?)?|oct(?:ober)?"
    r"|nov(?:ember)?|dec(?:ember)?)\b",
    re.IGNORECASE,
)


def equal_times(gold: str, reply: str) -> bool | None:
    """Whether two times of day or ratios are equal; None where the gold one is neither.

    a.m. and p.m. count where both have them. 3:4 equals 6:8 and 3/4; a time such as 9:30 never equals a ratio.
    """
    one, other = _TIME.fullmatch(gold.strip()), _TIME.fullmatch(reply.strip())
    if one and int(one[1]) < 25 and int(one[2] or 0) < 60:
        return other is not None and _minutes(one, other) == _minutes(other, one)
    if not _RATIO.fullmatch(gold.strip()):
        return None
    first, second = _parts(gold), _parts(reply) if _RATIO.fullmatch(reply.strip()) else []
    if not second and len(first) == 2 and first[1] and (value := number(reply)) is not None:
        return value == first[0] / first[1]
    return len(first) == len(second) and _proportional(first, second)


def equal_dates(gold: str, reply: str) -> bool:
    """Whether two dates that name their month have the same parts, in any order: `June 5` and `5th of June`."""
    return bool(MONTHS.search(gold) and MONTHS.search(reply)) and _date(gold) == _date(reply)


def _date(text: str) -> list[str]:
    text = re.sub(r"(\d)(?:st|nd|rd|th)\b|\bof\b|\bthe\b", lambda found: found[1] or "", text)
    return sorted(re.findall(r"[a-z]+|\d+", MONTHS.sub(lambda found: found[0][:3], text).lower()))


def _minutes(time: re.Match[str], other: re.Match[str]) -> int:
    """Minutes from midnight; a.m. and p.m. count only where both times have them or go beyond noon."""
    hours, minutes, half = int(time[1]), int(time[2] or 0), (time[3] or "").lower().replace(".", "")
    if not (_names_half(time) and _names_half(other)):
        return (hours % 12 if _names_half(time) or _names_half(other) else hours) * 60 + minutes
    if half:
        hours = hours % 12 + (12 if half == "pm" else 0)
    return hours % 24 * 60 + minutes


def _names_half(time: re.Match[str]) -> bool:
    return bool(time[3]) or int(time[1]) > 12 or int(time[1]) == 0


def _parts(ratio: str) -> list[Fraction]:
    return [Fraction(part) for part in re.findall(r"\d+(?:\.\d+)?", ratio)]


def _proportional(first: list[Fraction], second: list[Fraction]) -> bool:
    pairs = zip(first, second, strict=True)
    return all(one * second[0] == other * first[0] for one, other in pairs)
