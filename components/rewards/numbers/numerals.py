"""Normalises numbers as people write them: `１，０００`, `1{,}000` and `1 000` → 1000, `½` → 1/2, `twelve` → 12."""

import re
import unicodedata
from fractions import Fraction

_SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺", "0123456789-+")
_SUPERSCRIPT = re.compile(r"[⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺]+")
_VULGAR = re.compile(r"(?<=\d)\s*(?=[¼½¾⅐-⅞])")
_MINUS = str.maketrans(
    {"−": "-", "–": "-", "—": "-", "﹣": "-", "⁄": "/", "∕": "/", "\u00a0": " ", "\u2009": " ", "\u202f": " ", "’": "'"}
)
_GROUP = r"(?:,|\{,\}|\\,|\\ |\\!,?|,\\!|\\:|\\;|~|'|_| )"
_GROUPED = re.compile(rf"(?<![\d.,])(\d{{1,3}})((?:{_GROUP}\d{{3}})+)(?![\d])(?!\{{?,\}}?\d)")
_DOTTED = re.compile(r"(?<![\d.,])(\d{1,3}(?:\.\d{3}){2,})(?![\d.]*\d)")
_INDIAN = re.compile(r"(?<![\d.,])(\d{1,2}(?:,\d{2})+,\d{3})(?![\d,])")

_ONES = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"),
    *("thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"),
)
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_SMALL = {
    **{word: value for value, word in enumerate(_ONES)},
    **{word: 10 * value for value, word in enumerate(_TENS, start=2)},
}
SCALES = {"hundred": 100, "thousand": 1000, "million": 10**6, "billion": 10**9, "trillion": 10**12}
_WORD = "|".join([*_SMALL, *SCALES])
NUMBER_WORDS = re.compile(rf"\b(?:{_WORD})(?:(?:[\s-]+|\s+and\s+)(?:{_WORD}))*\b", re.IGNORECASE)
_SCALED = re.compile(rf"(?<![\w.])(\d+(?:\.\d+)?)\s*({'|'.join(SCALES)})\b", re.IGNORECASE)
_CHINESE_DIGITS = {**{digit: value for value, digit in enumerate("零一二三四五六七八九")}, "两": 2, "〇": 0}
_CHINESE_SCALES = {"十": 10, "百": 100, "千": 1000, "万": 10**4, "亿": 10**8}


def plain_numbers(text: str) -> str:
    """The text with narrow digits, plain minus signs, `^` for superscripts, and no thousands separators."""
    text = _SUPERSCRIPT.sub(lambda found: f"^{{{found[0].translate(_SUPERSCRIPTS)}}}", _VULGAR.sub(" ", text))
    text = unicodedata.normalize("NFKC", text.translate(_MINUS)).translate(_MINUS)
    text = _DOTTED.sub(lambda found: found[1].replace(".", ""), text)
    return _INDIAN.sub(lambda found: found[1].replace(",", ""), _GROUPED.sub(_joined, text))


def _joined(found: re.Match[str]) -> str:
    return found[1] + re.sub(r"\D", "", found[2])


def number_of_words(words: str) -> int:
    """The value of English number words: `two hundred and five` → 205."""
    total = current = 0
    for word in re.findall(r"[a-z]+", words.lower()):
        if word in _SMALL:
            current += _SMALL[word]
        elif word == "hundred":
            current = max(current, 1) * 100
        elif word in SCALES:
            total += max(current, 1) * SCALES[word]
            current = 0
    return total + current


def digits_for_words(text: str) -> str:
    """The text with digits for number words, `-` for `minus`, and scales multiplied: `2 million` → 2000000."""
    text = NUMBER_WORDS.sub(
        lambda found: found[0] if found[0].lower() in SCALES else str(number_of_words(found[0])), text
    )
    text = re.sub(r"\b(?:negative|minus)\s+(?=[\d.$\\])", "-", text, flags=re.IGNORECASE)
    return _SCALED.sub(lambda found: str(Fraction(found[1]) * SCALES[found[2].lower()]), text)


def number_of_chinese(words: str) -> int | None:
    """The value of a Chinese numeral: 三百二十 → 320; None for other text."""
    total = section = digit = 0
    for sign in words:
        if sign in _CHINESE_DIGITS:
            digit = _CHINESE_DIGITS[sign]
        elif sign in {"万", "亿"}:
            total = (total + section + digit) * _CHINESE_SCALES[sign]
            section = digit = 0
        elif sign in _CHINESE_SCALES:
            section += max(digit, 1) * _CHINESE_SCALES[sign]
            digit = 0
        else:
            return None
    return total + section + digit


def fraction(text: str) -> Fraction | None:
    """The exact value of a plain number (`-1.50`, `.5`, `3/4`, `1 1/2`); None when the text is not one."""
    mixed = re.fullmatch(r"([-+]?)\s*(\d+)\s+(\d+)\s*/\s*(\d+)", text.strip())
    power = re.fullmatch(r"([-+]?\d+(?:\.\d+)?)e([-+]?\d{1,3})", text.strip(), re.IGNORECASE)
    try:
        if power:
            return Fraction(power[1]) * Fraction(10) ** int(power[2])
        if mixed:
            value = int(mixed[2]) + Fraction(int(mixed[3]), int(mixed[4]))
            return -value if mixed[1] == "-" else value
        if not re.fullmatch(r"[-+]?\s*(?:\d+\.?\d*|\.\d+)(?:\s*/\s*\d+(?:\.\d+)?)?", text.strip()):
            return None
        above, _, below = re.sub(r"\s", "", text).partition("/")
        return Fraction(above) / Fraction(below) if below else Fraction(above)
    except (ValueError, ZeroDivisionError):
        return None
