"""Units of measurement: their kinds, sizes and spellings, in English and Chinese."""

import re
from fractions import Fraction

# Each line: kind, canonical name, size in the base unit of the kind, other spellings (singular; a plural s is removed).
_TABLE = """
length mm 1/1000 millimeter millimetre 毫米
length cm 1/100 centimeter centimetre 厘米
length dm 1/10 decimeter decimetre 分米
length m 1 meter metre 米
length km 1000 kilometer kilometre 千米 公里
area mm^2 1/1000000 平方毫米
area cm^2 1/10000 平方厘米
area dm^2 1/100 平方分米
area m^2 1 平方米
area km^2 1000000 平方千米 平方公里
volume mm^3 1/1000000000
volume cm^3 1/1000000 立方厘米 ml milliliter millilitre 毫升
volume dm^3 1/1000 立方分米 l liter litre 升
volume m^3 1 立方米
feet inch 1 in inches 英寸
feet foot 12 ft feet 英尺
feet yard 36 yd 码
mile mile 1 mi 英里
mass mg 1/1000 milligram 毫克
mass g 1 gram gramme 克
mass kg 1000 kilogram kilo 千克 公斤
mass ton 1000000 tonne 吨
pound pound 1 lb lbs 磅
time s 1 sec second 秒
time min 60 minute 分钟
time h 3600 hour hr 小时 时
time day 86400 天 日
time week 604800 星期 周
year year 1 yr 年
money cent 1/100 ¢ 美分
money dollar 1 $ usd buck 美元
euro euro 1 € eur 欧元
sterling sterling 1 £ gbp 英镑
yuan yuan 1 ¥ rmb cny 元 块 人民币
share % 1 percent pct 百分点
angle degree 1 deg 度
speed mile/h 1 mph
"""
_ROWS = [line.split() for line in _TABLE.strip().splitlines()]
_SIZES = {row[1]: (row[0], Fraction(row[2])) for row in _ROWS}
_SPELLINGS = {spelling: row[1] for row in _ROWS for spelling in (row[1], *row[3:])}

PERCENT = "%"


def canonical_unit(unit: str) -> str:
    """One spelling for each unit: `sq. centimeters` → `cm^2`, `miles per hour` → `mile/h`; others singular."""
    unit = re.sub(r"\^\{(\d)\}", r"^\1", unit.strip().lstrip("\\").strip())
    if unit.startswith("^{"):
        return "degree"
    text = unit.lower().replace(".", " ").replace("per cent", "percent").replace("percentage point", "percent")
    words = text.replace(" per ", "/").split()
    power = ""
    if words and words[0] in {"square", "sq", "cubic", "cu"}:
        power, words = ("^2" if words[0].startswith("sq") else "^3"), words[1:]
    if words and words[-1] in {"squared", "cubed"}:
        power, words = ("^2" if words[-1] == "squared" else "^3"), words[:-1]
    canonical = "/".join(_one_unit(part.strip()) for part in " ".join(words).split("/")) + power
    return _SPELLINGS.get(canonical, canonical)


def common_factors(one: str, other: str) -> tuple[Fraction, Fraction] | None:
    """The factors that make values in two canonical units comparable; None for units of different kinds.

    A missing unit is taken to be the other one. Units that are not in the table agree where they share a word:
    `large egg` and `egg`.
    """
    if not one or not other or one == other:
        return Fraction(1), Fraction(1)
    first, second = _kind_and_size(one), _kind_and_size(other)
    if first and second:
        return (first[1], second[1]) if first[0] == second[0] else None
    shared = set(one.split()) & set(other.split())
    return (Fraction(1), Fraction(1)) if shared else None


def _kind_and_size(unit: str) -> tuple[str, Fraction] | None:
    """The kind and size of a unit or of its power (`foot^2`); None where the table lacks it."""
    if unit in _SIZES:
        return _SIZES[unit]
    base, _, power = unit.partition("^")
    if base not in _SIZES or power not in {"2", "3"}:
        return None
    kind, size = _SIZES[base]
    return f"{kind}^{power}", size ** int(power)


def _one_unit(word: str) -> str:
    base, mark, power = word.partition("^")
    for form in (base, base.removesuffix("s"), base.removesuffix("es")):
        if form in _SPELLINGS:
            return _SPELLINGS[form] + mark + power
    return " ".join(_singular(part) for part in base.split()) + mark + power


def _singular(word: str) -> str:
    return word if len(word) < 4 or word.endswith("ss") else word.removesuffix("s")
