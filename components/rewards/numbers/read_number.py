"""The number that a worked solution ends with, and whether two numbers are equal.

Rules, in order:

1. A second question that the reply makes up (`Q: …`) and all that follows are ignored, and so is reasoning in tags.
2. The last statement of an answer (`The answer is 18`, `#### 18`, `\\boxed{18}`, `答案是18`): the right side of its
   equation (`9 * 2 = 18`), or else its first number (`18, which is 9 * 2`); for `not 20 but 18` what follows `but`;
   for `the answers are 3 and 4, so 7` the last one.
3. Otherwise the last number of the reply. An expression without a result is evaluated (`20-12` → 8).

Numbers are read as people write them (numerals.py), with mixed fractions, `\\frac{1}{2}`, number words and 万.
"""

import re
from fractions import Fraction

from components.rewards.another_question import first_answer
from components.rewards.numbers.arithmetic import work_out
from components.rewards.numbers.numerals import (
    NUMBER_WORDS,
    SCALES,
    fraction,
    number_of_chinese,
    number_of_words,
    plain_numbers,
)
from components.shared.thought import answer_of

_FRAC = re.compile(
    r"\\[dtc]?frac\s*(?:\{\s*(-?[\d.]+)\s*\}\s*\{\s*(-?[\d.]+)\s*\}|(\d)\s*(\d)|(\d)\s*\{(\d+)\}|\{(\d+)\}\s*(\d))"
)
_WRAPPED = re.compile(r"\\(?:text|textbf|mathrm|mathbf|boldsymbol|mbox)\s*\{([^{}]*)\}")
_TIMES = re.compile(r"\\times|\\cdot|×|·|⋅|(?<=\d)\s*[xX]\s*(?=[$\d])")
_OPERATIONS = {"plus": "+", "times": "*", "multiplied by": "*", "divided by": "/", "over": "/"}
_OPERATION = re.compile(rf"(?<=\d)\s+({'|'.join(_OPERATIONS)})\s+(?=[$\d])", re.IGNORECASE)
_POWER = re.compile(r"(?<![\d.])(\d{1,4})\s*\^\s*\{?(\d{1,2})(?!\d|\.\d)\}?")
_MARKUP = re.compile(r"\*\*+|`|\\\(|\\\)|\\\[|\\\]|\\left|\\right|\\[,;! ]|\\displaystyle|\\quad|(?<!\d)\{|\}")
_CHINESE_DIGIT = "[零一二三四五六七八九十百千万亿两〇]"
_CHINESE = re.compile(
    rf"{_CHINESE_DIGIT}+(?=[个元只本人天年岁米块次件支张颗头棵公千])|(?<=[是为共:：]){_CHINESE_DIGIT}+(?=[。,，]|\s*$)"
)
_BOX = re.compile(r"\\f?box(?:ed)?\s*\{")
_CURRENCY = re.compile(r"(?:US|HK|C|A)?[$€£¥₹]|\\(?=\d)")

_NUMBER = (
    r"(?:(?<![\w.)])[-+]\s?)?(?:\d+ \d+/\d+|\d+(?:\.\d+)?\s*/\s*\d+(?:\.\d+)?|\d+(?:\.\d+)?(?:e[-+]?\d+)?|(?<!\d)\.\d+)"
    rf"(?:\s*(?:{'|'.join(SCALES)}|万|亿)\b|[万亿])?"
)
NUMBER = re.compile(_NUMBER, re.IGNORECASE)
_EXPRESSION = re.compile(r"(?<![\w.])\(*-?\d[\d.]*\)*(?:\s*[-+*/]\s*\(*\d[\d.]*\)*)+(?!\s*[=\d])")
_STATED = re.compile(
    r"####|\\boxed"
    r"|\banswers?\b(?!\s*(?:is|are|was|would be|could be)?\s*(?:isn't|n't|not)\b(?![^.\n]{0,30}\bbut\b))[^.\n:=]{0,40}?"
    r"(?::|=|\b(?:is|are|was|would be|should be|must be|be)\b)"
    r"|答案(?![^。\n]{0,3}不)(?:应该|应当|应|就)?(?:是|为|等于|:|：|=)*",
    re.IGNORECASE,
)
_LAST_STATEMENTS, _LONGEST_SENTENCE, _LONGEST_END = 20, 400, 4000
"""SandboxLimits for a reply that repeats itself: statements, characters of each, characters at its end."""
_ANY_NUMBER = re.compile(rf"\d|{_CHINESE_DIGIT}|{NUMBER_WORDS.pattern}", re.IGNORECASE)
_PLURAL = re.compile(r"\banswers\b", re.IGNORECASE)
_ALSO = re.compile(r"\b(?:so|thus|hence|therefore|in total|which gives|making|for a total of)\b", re.IGNORECASE)
_NOT_BUT = re.compile(
    r"\b(?:not|isn't)\s[^.,;\n]*?(?:,?\s*but(?: rather)?|,\s*(?:it is|it's)|[;:])\s|不是[^。,\n]*?(?:,\s*)?(?:而是|是)",
    re.IGNORECASE,
)
_SENTENCE_ENDS = re.compile(r"(?<!\d)\.(?:\s|$)|(?<=\d)\.(?:\s|$)|[。;；!?！？]|\n")
_LAST_EQUALS = re.compile(r"^[^A-Za-z]*(?:[A-Za-z]+[^A-Za-z=]*){0,8}?=")


def read_number(reply: str) -> Fraction | None:
    """The number that a reply states as its answer; None when it states none."""
    text = plain(first_answer(answer_of(reply), lambda said: bool(_ANY_NUMBER.search(said))))
    found = [*_STATED.finditer(text)]
    for statement in reversed(found[-_LAST_STATEMENTS:]):
        value = _stated(text, statement)
        if value is not None:
            return value
    return _last_number(_NOT_BUT.sub(" ", text[-_LONGEST_END:]))


def same_number(left: Fraction | None, right: Fraction | None) -> bool:
    """Whether two numbers are equal; a missing number equals nothing, not even another missing one."""
    return left is not None and left == right


def plain(text: str) -> str:
    """The text with plain numbers, fractions as `1/2`, digits for number words, and without markup."""
    text = _WRAPPED.sub(r" \1 ", plain_numbers(text))
    text = _FRAC.sub(lambda found: f" {'/'.join(part for part in found.groups() if part)} ", text)
    text = _BOX.sub(r"\\boxed ", text)
    text = _OPERATION.sub(lambda found: _OPERATIONS[found[1].lower()], _MARKUP.sub("", _TIMES.sub("*", text)))
    text = _POWER.sub(lambda found: str(int(found[1]) ** int(found[2])), text)
    text = _CURRENCY.sub("", re.sub(r"[-]\s*(?=[$€£¥₹]\d)", "-", text))
    text = re.sub(r"\b(?:negative|minus)\s+(?=\d)|负(?=\d)", "-", NUMBER_WORDS.sub(_digits, text), flags=re.IGNORECASE)
    return _CHINESE.sub(_chinese_digits, text)


def _digits(found: re.Match[str]) -> str:
    words = found[0]
    # "million" belongs to the number before it ("3 million"); "one" alone is mostly a pronoun.
    if words.lower() in SCALES or (
        words.lower() == "one" and not re.search(r"(?:is|:|=)\s*$", found.string[: found.start()])
    ):
        return words
    return str(number_of_words(words))


def _chinese_digits(found: re.Match[str]) -> str:
    if re.search(r"\d\s*$", found.string[: found.start()]):
        return found[0]
    value = number_of_chinese(found[0])
    return found[0] if value is None else str(value)


def _stated(text: str, statement: re.Match[str]) -> Fraction | None:
    """The number of one statement: in its sentence, or at the beginning of the next line."""
    rest = text[statement.end() : statement.end() + _LONGEST_SENTENCE].lstrip(" :=：\n\t#")
    sentence = _SENTENCE_ENDS.split(rest, maxsplit=1)[0]
    sentence = _NOT_BUT.sub(" ", sentence)
    if _PLURAL.search(statement[0]) and _ALSO.search(sentence):
        return _last_number(sentence)
    if "=" in sentence and _LAST_EQUALS.match(sentence):
        sentence = sentence.rpartition("=")[2]
    return _first_number(sentence)


def _first_number(text: str) -> Fraction | None:
    number, expression = NUMBER.search(text), _EXPRESSION.search(text)
    if number and expression and expression.start() <= number.start():
        worked = work_out(expression[0])
        if worked is not None:
            return worked
    return _value(number[0]) if number else None


def _last_number(text: str) -> Fraction | None:
    numbers, expressions = [*NUMBER.finditer(text)], [*_EXPRESSION.finditer(text)]
    if not numbers:
        return None
    if expressions and expressions[-1].end() >= numbers[-1].end():
        worked = work_out(expressions[-1][0])
        if worked is not None:
            return worked
    return _value(numbers[-1][0])


def _value(text: str) -> Fraction | None:
    scaled = re.fullmatch(r"(.*?)\s*([a-z]+|万|亿)", text.strip(), re.IGNORECASE)
    scale = (
        {**SCALES, "万": 10**4, "亿": 10**8}.get(scaled[2].lower(), 1) if scaled and not re.search(r"\de", text) else 1
    )
    plain_text = re.sub(r"^([-+])\s+", r"\1", (scaled[1] if scaled and scale > 1 else text).strip())
    power = re.fullmatch(r"([-+]?[\d.]+)e([-+]?\d{1,3})", plain_text, re.IGNORECASE)
    if power:
        return Fraction(power[1]) * Fraction(10) ** int(power[2])
    value = fraction(plain_text)
    return None if value is None else value * scale
