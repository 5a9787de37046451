"""Quantities: a value with its unit, per cent, times of day, ratios; compared exactly, without algebra."""

import re
from dataclasses import dataclass
from fractions import Fraction

from components.rewards.numerals import fraction

_LENGTH = {"mm": "1/1000", "cm": "1/100", "dm": "1/10", "m": "1", "km": "1000"}
_UNITS: dict[str, tuple[str, Fraction]] = {
    **{name: ("length", Fraction(size)) for name, size in _LENGTH.items()},
    **{f"{name}^2": ("area", Fraction(size) ** 2) for name, size in _LENGTH.items()},
    **{f"{name}^3": ("volume", Fraction(size) ** 3) for name, size in _LENGTH.items()},
    **{"l": ("volume", Fraction(1, 1000)), "ml": ("volume", Fraction(1, 10**6))},
    **{
        "inch": ("imperial length", Fraction(1)),
        "foot": ("imperial length", Fraction(12)),
        "yard": ("imperial length", Fraction(36)),
    },
    **{
        "mg": ("mass", Fraction(1, 1000)),
        "g": ("mass", Fraction(1)),
        "kg": ("mass", Fraction(1000)),
        "ton": ("mass", Fraction(10**6)),
    },
    **{
        "s": ("time", Fraction(1)),
        "min": ("time", Fraction(60)),
        "h": ("time", Fraction(3600)),
        "day": ("time", Fraction(86400)),
        "week": ("time", Fraction(604800)),
    },
    **{"cent": ("dollars", Fraction(1, 100)), "dollar": ("dollars", Fraction(1))},
}
_ALIASES = {
    **{
        "millimeter": "mm",
        "millimetre": "mm",
        "centimeter": "cm",
        "centimetre": "cm",
        "decimeter": "dm",
        "meter": "m",
        "metre": "m",
    },
    **{
        "kilometer": "km",
        "kilometre": "km",
        "in": "inch",
        "inches": "inch",
        "ft": "foot",
        "feet": "foot",
        "yd": "yard",
        "mi": "mile",
    },
    **{
        "milligram": "mg",
        "gram": "g",
        "gramme": "g",
        "kilogram": "kg",
        "kilo": "kg",
        "tonne": "ton",
        "lb": "pound",
        "lbs": "pound",
    },
    **{
        "sec": "s",
        "second": "s",
        "minute": "min",
        "hour": "h",
        "hr": "h",
        "hrs": "h",
        "liter": "l",
        "litre": "l",
        "milliliter": "ml",
        "millilitre": "ml",
    },
    **{
        "$": "dollar",
        "usd": "dollar",
        "buck": "dollar",
        "¢": "cent",
        "€": "euro",
        "eur": "euro",
        "£": "pound sterling",
        "¥": "yuan",
        "元": "yuan",
        "rmb": "yuan",
    },
    **{"percent": "%", "per cent": "%", "percentage point": "%", "pct": "%", "^{\\circ}": "degree", "deg": "degree"},
    **{
        "厘米": "cm",
        "米": "m",
        "千米": "km",
        "公里": "km",
        "毫米": "mm",
        "克": "g",
        "千克": "kg",
        "公斤": "kg",
        "秒": "s",
        "分钟": "min",
        "小时": "h",
    },
    **{
        "天": "day",
        "平方米": "m^2",
        "平方厘米": "cm^2",
        "立方米": "m^3",
        "升": "l",
        "毫升": "ml",
        "度": "degree",
        "美元": "dollar",
        "块": "yuan",
    },
    **{"mph": "mile/h", "kmh": "km/h", "kph": "km/h"},
}
_SYMBOLS = frozenset({"m", "g", "s", "h", "l", "L", "N", "J", "W", "V", "K"})
_TIME = re.compile(
    r"(\d{1,2})(?::(\d{2})(?::\d{2})?\s*(?:o'clock)?|(?=\s*[ap]\.?m\b))\s*(a\.?m\.?|p\.?m\.?)?\.?", re.IGNORECASE
)
_RATIO = re.compile(r"\d+(?:\.\d+)?(?:\s*(?::|\bto\b)\s*\d+(?:\.\d+)?)+")
_PREFIXED = re.compile(r"([-+]?)\s*(?:US|HK|C|A)?\\?([$€£¥])\s*(.+)")
_WITH_UNIT = re.compile(
    r"(.*?(?:[\d)}\]]|\\pi))\s*(%|\\?%|¢|[$€£¥]|\^\{\\circ\}(?:\s*[CF])?|(?:\s|(?<=\d)|(?<=[)}\]])|(?<=\\pi))(?:[A-Za-z\u4e00-\u9fff][A-Za-z\u4e00-\u9fff./ ^{}\d-]*))"
)
_NO_UNITS = frozenset(
    {"pi", "sqrt", "sin", "cos", "tan", "log", "ln", "e", "i", "and", "or", "to", "x", "y", "z", "n", "mod", "times"}
)


@dataclass(frozen=True)
class Quantity:
    """A body (a number or an expression, in plain notation) and its unit, canonical; empty where it has none."""

    body: str
    unit: str


def quantity(text: str) -> Quantity:
    """Split a plain text into body and unit."""
    text = text.strip().rstrip(".")
    prefixed = _PREFIXED.fullmatch(text)
    if prefixed:
        rest = quantity(prefixed[3])
        return Quantity(prefixed[1] + rest.body, _canonical(prefixed[2]))
    found = _WITH_UNIT.fullmatch(text)
    if found and _is_unit(found[2].strip(), text[found.end(1) :]):
        return Quantity(found[1].strip(), _canonical(found[2].strip()))
    return Quantity(text, "")


def number(body: str) -> Fraction | None:
    """The exact value of a plain body that is a number, a fraction or a mixed one; else None."""
    body = re.sub(
        r"(\d)?\s*\\frac\{(-?\d+(?:\.\d+)?)\}\{(\d+(?:\.\d+)?)\}",
        lambda found: f"{found[1]} {found[2]}/{found[3]}" if found[1] else f"{found[2]}/{found[3]}",
        body,
    )
    body = re.sub(
        r"^([-+])\s+",
        r"\1",
        body.strip().strip("()") if re.fullmatch(r"\(-?\d[^()]*\)", body.strip()) else body.strip(),
    )
    if re.fullmatch(r"-?[\d.]+/[\d.]+", body):
        above, _, below = body.partition("/")
        one, other = fraction(above), fraction(below)
        return one / other if one is not None and other else None
    return fraction(body)


def equal_quantities(gold: Quantity, reply: Quantity) -> bool | None:
    """Whether two quantities are equal; None where their bodies are no numbers, so that algebra has to decide.

    A unit that only one side gives is taken for granted; two units have to be of one kind. 20% is 0.2, and 20 where a
    number of per cent was asked for.
    """
    first, second = number(gold.body), number(reply.body)
    if "%" in {gold.unit, reply.unit} and gold.unit != reply.unit:
        if first is None or second is None or (gold.unit and reply.unit):
            return None if first is None or second is None else False
        return _equal_per_cent(first, gold.unit, second)
    factors = _factors(gold.unit, reply.unit)
    if factors is None:
        return False
    if first is None or second is None:
        return None if factors[0] == factors[1] else False
    return first * factors[0] == second * factors[1]


def equal_times(gold: str, reply: str) -> bool | None:
    """Whether two times of day or ratios are equal; None where the gold one is neither."""
    one, other = _TIME.fullmatch(gold.strip()), _TIME.fullmatch(reply.strip())
    if one and int(one[1]) < 25 and int(one[2] or 0) < 60:
        return other is not None and _minutes(one, other) == _minutes(other, one)
    if _RATIO.fullmatch(gold.strip()):
        first, second = _parts(gold), _parts(reply) if _RATIO.fullmatch(reply.strip()) else []
        if not second and len(first) == 2 and first[1] and (value := number(reply)) is not None:
            return value == first[0] / first[1]
        return len(first) == len(second) and _proportional(first, second)
    return None


def _minutes(time: re.Match[str], other: re.Match[str]) -> int:
    """Minutes from midnight; half of the day counts only where both times name it, or go beyond noon."""
    hours, half = int(time[1]), (time[3] or "").lower().replace(".", "")
    names_half = half or hours > 12 or hours == 0
    other_names = other[3] or int(other[1]) > 12 or int(other[1]) == 0
    if not (names_half and other_names):
        return hours % 12 * 60 + int(time[2] or 0) if names_half or other_names else hours * 60 + int(time[2] or 0)
    if half:
        hours = hours % 12 + (12 if half == "pm" else 0)
    return hours % 24 * 60 + int(time[2] or 0)


def _parts(ratio: str) -> list[Fraction]:
    return [Fraction(part) for part in re.findall(r"\d+(?:\.\d+)?", ratio)]


def _proportional(first: list[Fraction], second: list[Fraction]) -> bool:
    pairs = zip(first, second, strict=True)
    return all(one * second[0] == other * first[0] for one, other in pairs)


def _equal_per_cent(gold: Fraction, gold_unit: str, reply: Fraction) -> bool:
    share, bare = (gold, reply) if gold_unit else (reply, gold)
    return bare == share / 100 or (bare == share and (bool(gold_unit) or bare > 1))


def _factors(one: str, other: str) -> tuple[Fraction, Fraction] | None:
    """What the values are multiplied with to compare them; None where the units are of two kinds."""
    if not one or not other or one == other:
        return Fraction(1), Fraction(1)
    if one in _UNITS and other in _UNITS and _UNITS[one][0] == _UNITS[other][0]:
        return _UNITS[one][1], _UNITS[other][1]
    known = [unit in _UNITS or unit in {"%", "degree", "yuan", "euro"} for unit in (one, other)]
    shared = set(one.split()) & set(other.split())
    return (Fraction(1), Fraction(1)) if shared and not all(known) else None


def _is_unit(word: str, written: str) -> bool:
    plain = re.sub(r"[\s.^{}\d-]", "", word)
    if not plain or word.strip() in {"%", "\\%", "¢", "$", "€", "£", "¥"} or word.startswith("^{\\circ}"):
        return True
    first = re.split(r"[\s/^]", word)[0]
    if first.lower() in _NO_UNITS and first not in _SYMBOLS:
        return False
    if len(plain) == 1 and plain.isascii():
        return plain in _SYMBOLS and written.startswith(" ")
    return len(first) > 1 or first in _SYMBOLS or not first.isascii()


def _canonical(unit: str) -> str:
    unit = re.sub(r"\^\{(\d)\}", r"^\1", unit.strip().lstrip("\\").strip())
    if unit.startswith("^{"):
        return "degree"
    words = unit.lower().replace(".", " ").split()
    power = ""
    if words and words[0] in {"square", "sq", "cubic", "cu"}:
        power, words = ("^2" if words[0].startswith("sq") else "^3"), words[1:]
    if words and words[-1] in {"squared", "cubed"}:
        power, words = ("^2" if words[-1] == "squared" else "^3"), words[:-1]
    text = " ".join(words).replace(" per ", "/").replace("per cent", "percent")
    return "/".join(_one_unit(part.strip()) for part in text.split("/")) + power


def _one_unit(word: str) -> str:
    base, mark, power = word.partition("^")
    for form in (base, base.removesuffix("s"), base.removesuffix("es")):
        if form in _ALIASES or form in _UNITS:
            return _ALIASES.get(form, form) + mark + power
    return (
        " ".join(part if len(part) < 4 or part.endswith("ss") else part.removesuffix("s") for part in base.split())
        + mark
        + power
    )
