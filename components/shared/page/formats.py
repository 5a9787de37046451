"""How a page writes numbers: scores, differences, times, counts, sizes."""

from collections.abc import Callable
from typing import Any

import yaml

from components.shared.intervals import paired_interval
from components.shared.rows import Comparison, Score
from components.shared.text.counted import counted


def percent(score: Score | float) -> str:
    """A score in per cent, with its standard error where it has one: 62.4 ± 2.2."""
    if isinstance(score, Score):
        return f"{100 * score.value:.1f} ± {100 * score.standard_error:.1f}"
    return f"{100 * score:.1f}"


def signed(value: Comparison | float) -> str:
    """A difference in points with its sign, a true minus."""
    fraction = value.difference if isinstance(value, Comparison) else value
    text = f"{100 * fraction:+.1f}"
    return "0.0" if text in {"+0.0", "-0.0"} else text.replace("-", "−")


def interval(item: Comparison) -> str:
    """The 95 % interval of a difference in points."""
    return reach(paired_interval(item))


def reach(low_high: tuple[float, float]) -> str:
    """An interval of differences in points."""
    low, high = low_high
    return f"{signed(low)} to {signed(high)}"


def p_value(value: float | None) -> str:
    """A p-value to three decimal places, small ones as a bound."""
    if value is None:
        return "–"
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def duration(seconds: float) -> str:
    """Seconds in words: 4.2 s, 1 min 23 s, 2 h 05 min."""
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes < 60 else f"{minutes // 60:,} h {minutes % 60:02d} min"


def number(value: float) -> str:
    """An integer with separators, any other number with four digits."""
    return f"{int(value):,}" if float(value).is_integer() else f"{value:,.4g}"


def compact(value: int) -> str:
    """A large count in three digits: 713k, 1.2M."""
    for limit, unit in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if value >= limit:
            return f"{value / limit:.3g}{unit}"
    return str(value)


def power_of_ten(value: float) -> str:
    """A large number with three digits and a power of ten: 3.21·10¹⁵."""
    if value <= 0:
        return "0"
    digits, _, exponent = f"{value:.2e}".partition("e")
    return f"{digits}·10{str(int(exponent)).translate(str.maketrans('0123456789-', '⁰¹²³⁴⁵⁶⁷⁸⁹⁻'))}"


def size(count: float) -> str:
    """Bytes in decimal units."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def share(value: float | None) -> str:
    """A share in per cent; a dash for None."""
    return "–" if value is None else f"{100 * value:.1f} %"


def plain(name: str) -> str:
    """The name of a count, with spaces."""
    return name.replace("_", " ")


def as_yaml(value: Any) -> str:
    """Settings as YAML."""
    return yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=100)


FILTERS: dict[str, Callable[..., Any]] = {
    "percent": percent,
    "signed": signed,
    "interval": interval,
    "reach": reach,
    "p_value": p_value,
    "duration": duration,
    "number": number,
    "counted": counted,
    "compact": compact,
    "power_of_ten": power_of_ten,
    "size": size,
    "share": share,
    "plain": plain,
    "as_yaml": as_yaml,
}
"""All of them, as filters of the templates."""
