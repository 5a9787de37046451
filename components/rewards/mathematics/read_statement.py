"""What a worked solution states as its answer: the last box or statement, else its mathematics, else a number.

Of a statement with several values all are read: `\\boxed{10} or \\boxed{20}`, `x = 1 and x = 2`. What was stated
before the last statement, in a thought, or in a box that was never closed, is not the answer.
"""

import itertools
import re
from dataclasses import dataclass

from components.rewards.another_question import first_answer
from components.rewards.mathematics.plain_math import is_words, plain_math
from components.rewards.mathematics.quantities import number, quantity
from components.rewards.numbers.numerals import digits_for_words
from components.shared.thought import answer_of

_BRACE = re.compile(r"(?P<box>\\f?box(?:ed)?\s*\{)|\\.|[{}]", re.DOTALL)
_BETWEEN_BOXES = re.compile(
    r"[\s$\\,;.()\[\]]*(?:and|or|和|或)?[\s$\\,;()\[\]]*(?:[A-Za-z](?:_\{?\d\}?)?\s*=\s*)?[\s$\\()\[\]]*", re.IGNORECASE
)
_MARKER = re.compile(
    r"####[ \t]*|(?:\*\*|#+\s*)?\b(?:final |correct |right )?answers?\b(?:\s+(?:here|to [^.\n:]{1,60}))?(?:\*\*)?\s*"
    r"(?::\s*(?:\*\*)?|(?:is|are|would be|must be|should be)\b\s*:?(?!\s*(?:not|n't)\b)|="
    r"|(?=\s*\n\s*(?:\\\[|\$|\\boxed)))\s*"
    r"|答案\s*(?:应该|应当|应|就)?\s*(?:是|为|等于|:|：|=)+\s*(?!不)",
    re.IGNORECASE,
)
_ENVIRONMENT = re.compile(
    r"\$\$(.+?)\$\$|(?<![\\\d])\$((?:\\\$|[^$\n])+?)(?<!\\)\$|\\\((.+?)\\\)|\\\[(.+?)\\\]", re.DOTALL
)
_SENTENCE_ENDS = re.compile(r"(?<![\d\s])\.(?:\s|$)|(?<=\d)\.(?:\s|$)|[。；!！]|\n\s*\n|\n(?=\s*\S)")
_AFTERTHOUGHT = re.compile(
    r"(?:,\s*|\s+)(?:not|rather than|instead of)\b.*$|(?:,\s*)?\b(?:because|since|which|as|so|where|when|given|based"
    r"|after|if|for"
    r"|that is|i\.e\.)\b.*$|[,，]?\s*(?:因为|所以|由于).*$|\s+\((?![^()]*[,;])[^()]*[A-Za-z]{2}[^()]*\)\s*$",
    re.IGNORECASE | re.DOTALL,
)
_NUMBER = (
    r"[-+]?(?:US|HK)?[$€£¥]?\s?(?:\d+ \d+/\d+|\d+(?:\.\d+)?(?:\s*[/:]\s*\d+(?:\.\d+)?)*|\.\d+)(?:\s*%|\^\{\\circ\})?"
)
_NAMED = rf"(?:[A-Za-z]\w?\s*=\s*)?{_NUMBER}"
_NUMBERS = re.compile(
    rf"(?<![A-Za-z0-9_.])(?<![\d)]\s)?{_NAMED}(?:\s*(?:,\s*(?:and|or)?|\band\b|\bor\b|和|或|、)\s*{_NAMED})*"
)
_UNIT_AFTER = re.compile(r"\s?(?:[A-Za-z]{1,3}(?:\^\{?\d\}?)?(?:/[a-z]+)?(?![A-Za-z])|percent\b|per cent\b|[ap]\.m\.)")
_EXPRESSION = re.compile(
    r"(?:(?:\\[A-Za-z]+|(?<![A-Za-z\\])[A-Za-z](?![A-Za-z])|\d+(?:\.\d+)?|[-+*/^=()\[\]{}_<>|,!.])\s*)+"
)
_PROSE = re.compile(r"(?<![\\A-Za-z{])[A-Za-z]{2,}(?:'[a-z]+)?|[\u4e00-\u9fff]")
_REFUTED = re.compile(
    r"\b(?:not|n't|rather than|instead of|down from|up from|unlike)\s+[-+]?[$€£¥]?\d[\d.,/:%]*(?<![.,])", re.IGNORECASE
)
"""Numbers that the text rejects as the answer."""
_LONGEST_BARE = 60

_NOT_A_UNIT = re.compile(
    r"\s*(?:and|or|so|is|in|of|to|at|by|we|if|for|the|are|was|a|i|on|as|he|she|it|all)\s*", re.IGNORECASE
)
"""Words that follow a number without being its unit."""


@dataclass(frozen=True)
class Statement:
    """What a reply states.

    Attributes:
        text: the statement, in plain notation; empty where nothing is stated.
        marked: it is in a box, follows `the answer is`, or is all of the reply; else it was found in the prose.
        sentence: of a statement from the prose, the last sentence, in plain notation.
        boxes: all boxes of the reply, in plain notation.
    """

    text: str
    marked: bool
    sentence: str = ""
    boxes: tuple[str, ...] = ()


NOTHING = Statement("", True)


def read_statement(reply: str) -> Statement:
    """The statement of a reply; NOTHING where there is none, or it was truncated in its thought or in its box."""
    text = first_answer(_without_wide_marks(answer_of(reply)).strip(), _is_marked)
    if not text:
        return NOTHING
    found = _boxes(text)
    if found and found[-1][2] is None:
        return NOTHING
    boxes = [(start, end, content) for start, end, content in found if content is not None]
    marker = _last_marker(text)
    plain_boxes = tuple(plain_math(content) for _, _, content in boxes)
    if boxes and (marker is None or boxes[-1][1] > marker.end() - 1):
        return Statement(plain_math(_last_boxes(text, boxes)), True, boxes=plain_boxes)
    if marker is not None and (stated := _after(text, marker)):
        return Statement(stated, True, boxes=plain_boxes)
    return _unmarked(text)


def _is_marked(text: str) -> bool:
    return bool(_boxes(text) or _last_marker(text))


def _boxes(text: str) -> list[tuple[int, int, str | None]]:
    """The start, end and content of every outermost box; the content is None for a box that is never closed."""
    found: list[tuple[int, int, str | None]] = []
    open_ones: list[re.Match[str]] = []
    for mark in _BRACE.finditer(text):
        if mark[0].endswith("{") and not mark[0].startswith("\\{"):
            open_ones.append(mark)
        elif mark[0] == "}" and open_ones:
            opening = open_ones.pop()
            if opening["box"] and not any(outer["box"] for outer in open_ones):
                found.append((opening.start(), mark.end(), text[opening.end() : mark.start()]))
    unclosed = next((opening for opening in open_ones if opening["box"]), None)
    return [*found, (unclosed.start(), len(text), None)] if unclosed else found


def _last_boxes(text: str, boxes: list[tuple[int, int, str]]) -> str:
    """The contents of the last boxes, as one list if only `and`, `or` or a comma separates them."""
    contents = [boxes[-1][2]]
    for one, following in zip(reversed(boxes[:-1]), reversed(boxes[1:]), strict=True):
        if not _BETWEEN_BOXES.fullmatch(text, one[1], following[0]) or "\n\n" in text[one[1] : following[0]]:
            break
        if not re.search(r"and|or|,|;|和|或", text[one[1] : following[0]], re.IGNORECASE):
            break
        contents.insert(0, one[2])
    return ", ".join(contents) if len(contents) > 1 else contents[0]


def _last_marker(text: str) -> re.Match[str] | None:
    end = len(text.rstrip())
    found = [marker for marker in _MARKER.finditer(text) if marker.end() < end]
    return found[-1] if found else None


def _after(text: str, marker: re.Match[str]) -> str:
    """What follows a marker, up to the end of its sentence and without reasons."""
    rest = text[marker.end() :].lstrip(" \t\n*:")
    leading = re.match(r"\\\[(.+?)\\\]|\$\$(.+?)\$\$", rest, re.DOTALL)
    if leading:
        return plain_math(leading[1] or leading[2])
    # "not 20 but 18"
    rest = re.sub(r"^(?:not|n't)\b[^.\n]*?\bbut\b\s*", "", rest)
    sentence = _SENTENCE_ENDS.split(rest, maxsplit=1)[0]
    return plain_math(_AFTERTHOUGHT.sub("", _in_mathematics(sentence))).strip(" .,;*。")


def _in_mathematics(sentence: str, last: bool = False) -> str:
    """The sentence with its mathematics unwrapped; among other words only the first or last part."""
    parts = _mathematics(sentence)
    if not parts:
        return sentence
    outside = sentence
    for (start, end), _ in reversed(parts):
        outside = outside[:start] + " " + outside[end:]
    if _PROSE.search(re.sub(r"\b(?:and|or)\b", " ", outside)) and not re.fullmatch(
        r"\W*[A-Za-z]+(?: [A-Za-z]+)?\W*", outside
    ):
        return _joined_parts(sentence, parts, last)
    return _unwrapped(sentence, parts)


def _unwrapped(sentence: str, parts: list[tuple[tuple[int, int], str]]) -> str:
    for (start, end), content in reversed(parts):
        sentence = sentence[:start] + " " + content + " " + sentence[end:]
    return sentence


def _mathematics(text: str) -> list[tuple[tuple[int, int], str]]:
    """The position and content of mathematics; two prices in dollars are not mathematics."""
    parts = [(found.span(), next(filter(None, found.groups()))) for found in _ENVIRONMENT.finditer(text)]
    return [
        (span, content)
        for span, content in parts
        if not _PROSE.search(re.sub(r"\\[A-Za-z]+\s*(?:\{[^{}]*\})?", " ", content))
    ]


def _joined_parts(sentence: str, parts: list[tuple[tuple[int, int], str]], last: bool) -> str:
    """The first or last pieces of mathematics that only `and`, `or` or a comma separates."""
    runs = [[parts[0]]]
    for one, following in itertools.pairwise(parts):
        if re.fullmatch(r"\s*(?:,|、)?\s*(?:and|or|和|或)?\s*", sentence[one[0][1] : following[0][0]], re.IGNORECASE):
            runs[-1].append(following)
        else:
            runs.append([following])
    return ", ".join(content for _, content in runs[-1 if last else 0])


def _unmarked(text: str) -> Statement:
    """The answer of a reply without box or statement: a bare reply, else its mathematics, else its last numbers."""
    parts = _mathematics(text)
    bare = plain_math(_unwrapped(text, parts)) if len(text) <= _LONGEST_BARE else ""
    sentences = [part for part in _SENTENCE_ENDS.split(text) if part.strip()]
    sentence = plain_math(sentences[-1]) if sentences else ""
    split = quantity(bare)
    if bare and (split.unit and number(split.body) is not None):
        return Statement(bare.strip(" .,;。"), True, sentence)
    if bare and "\n" not in text and not _PROSE.search(re.sub(r"\b(?:and|or|pi|sqrt)\b|\\[A-Za-z]+", " ", bare)):
        return Statement(bare.strip(" .,;。"), True, sentence)
    if parts:
        in_sentence = plain_math(
            _in_mathematics(next(part for part in reversed(_paragraphs(text)) if _ENVIRONMENT.search(part)), last=True)
        )
        stated = in_sentence if not is_words(in_sentence) else plain_math(parts[-1][1])
        return Statement(stated.strip(" .,;。"), False, sentence)
    plain = _REFUTED.sub(" ", plain_math(text))
    return Statement(_last_value(plain) or _last_value(digits_for_words(plain)), False, sentence)


def _paragraphs(text: str) -> list[str]:
    """The sentences and lines of a text; all of it as one where it has displayed mathematics."""
    if "\\[" in text or "$$" in text:
        return [text]
    return [part for part in re.split(r"(?<=[.。!?])\s+|\n", text) if part.strip()]


def _last_value(text: str) -> str:
    """The last numbers in prose (one answer if joined by `and`, `or` or commas), or an expression after them."""
    numbers = [found for found in _NUMBERS.finditer(text) if found[0].strip()]
    expressions = [
        found
        for found in _EXPRESSION.finditer(text)
        if re.search(r"\\(?:frac|sqrt|pi|infty)|[A-Za-z\d)}]\s*[-+*/^=]\s*[A-Za-z\d({\\]|\([^()]+,[^()]+\)", found[0])
    ]
    if expressions and (not numbers or _reaches_further(expressions[-1], numbers[-1])):
        return expressions[-1][0].strip(" .,;")
    if not numbers:
        return ""
    unit = _UNIT_AFTER.match(text, numbers[-1].end())
    if unit is None or _NOT_A_UNIT.fullmatch(unit[0]):
        return numbers[-1][0].strip()
    return (numbers[-1][0] + unit[0]).strip()


def _reaches_further(expression: re.Match[str], numbers: re.Match[str]) -> bool:
    end = expression.start() + len(expression[0].rstrip(" .,;"))
    return end > numbers.end() or (end == numbers.end() and expression.start() < numbers.start())


def _without_wide_marks(text: str) -> str:
    return text.replace("\r\n", "\n").replace("：", ":").replace("，", ",").replace("（", "(").replace("）", ")")
