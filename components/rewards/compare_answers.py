"""Whether two answers are equal: lists, sets, tuples and intervals by their members, members by value.

`equal` is the algebra (math-verify in a process of its own, checks/math_check.py); it is asked only for members that
neither text nor exact numbers decide.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from components.rewards.numerals import digits_for_words
from components.rewards.plain_math import is_words, plain_math, same_text
from components.rewards.quantities import equal_quantities, equal_times, number, quantity
from components.rewards.choices.read_choice import read_choice
from components.rewards.read_statement import Statement, read_statement
from components.shared.thought import answer_of

Equal = Callable[[str, str], bool]

_JOINTS = re.compile(r"\s*(?:[,;、]\s*(?:and|or)?(?![A-Za-z])|\b(?:and|or)\b|和|或|及)\s*", re.IGNORECASE)
_PAIRS = {"(": ")", "[": "]", "{": "}"}
_NAME = re.compile(
    r"(\\?[A-Za-z]+(?:_\{?\w+\}?)?(?:\([A-Za-z](?:,\s*[A-Za-z])*\))?'?)\s*(?:=|\\in(?![a-z])|:(?=\s*[A-Za-z]))\s*(.+)",
    re.DOTALL,
)
_NONE = re.compile(
    r"(?:there (?:is|are) )?no (?:real |valid |such |integer )?(?:solutions?|values?|roots?|answer)(?: exists?)?|\\emptyset|empty set|\{\s*\}|none|does not exist|dne|undefined|无解|不存在",
    re.IGNORECASE,
)
_NEGATES = re.compile(r"(?:\b(?:not|no|never|cannot)\b|n't)(?:\s+\w+){0,3}\s*$|不(?:是)?$", re.IGNORECASE)
_OPPOSITES = (
    {"true", "false"},
    {"yes", "no"},
    {"even", "odd"},
    {"increasing", "decreasing"},
    {"是", "否"},
    {"对", "错"},
)
_MONTHS = re.compile(
    r"\b(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sep(?:t(?:ember)?)?|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)\b",
    re.IGNORECASE,
)
_ALL_REAL = re.compile(r"all real numbers|all reals|(?:x\s*\\in\s*)?\\mathbb\s*\{?R\}?", re.IGNORECASE)
_VARIABLE = r"\\?[A-Za-z]+(?:_\{?\w+\}?)?"
_TURNED = {"<": ">", ">": "<", r"\le": r"\ge", r"\ge": r"\le"}
_COPULA = r"(?:\b(?:is|was|are|were|be|on|called|named|in|at|an?|the|equals|becomes)|[=:]|是|为|在)\s*(?:the |an? )?$"
_DEEPEST_POWER = 3


@dataclass(frozen=True)
class Members:
    """Values that stand together, and in which brackets; a bare list has none, and its order does not count."""

    brackets: str
    values: tuple["str | Members", ...]


Answer = str | Members


def answers(gold: str, reply: str, equal: Equal) -> bool:
    """Whether a reply states the gold answer.

    Args:
        gold: the right answer, alone, or in a solution that states it (`#### 18`, `\\boxed{18}`).
        reply: all that was said.
        equal: the algebra: whether two expressions in plain LaTeX have one value.
    """
    right = _gold(gold)
    statement = read_statement(reply)
    if not right:
        return False
    if same_text(right, plain_math(_unwrapped(answer_of(reply).strip()))):
        return True
    if re.fullmatch(r"\(?[A-J]\)?\.?", right):
        return read_choice(reply) == right.strip("().") or same_text(right, statement.text)
    if statement.text and _agree(right, statement.text, equal):
        return True
    if statement.marked and not _is_phrase(right):
        return len(statement.boxes) > 1 and _agree_with_all(right, statement.boxes, equal)
    return _is_phrase(right) and _says(right, statement)


def same_answer(first: str, second: str, equal: Equal) -> bool:
    """Whether two replies state one answer."""
    one, other = read_statement(first), read_statement(second)
    if not one.text or not other.text:
        return False
    return _agree(one.text, other.text, equal)


def parse_answer(text: str) -> Answer:
    """The members of an answer in plain notation; a text where it is a single value."""
    text = _without_domain(text.strip().rstrip("."))
    if _ALL_REAL.fullmatch(text):
        return Members("()", ("-\\infty", "\\infty"))
    if (interval := _interval(text)) is not None:
        return interval
    if (signs := _both_signs(text)) is not None:
        return Members("", signs)
    unions = _split(text, re.compile(r"\s*\\cup\s*"))
    if len(unions) > 1:
        return Members("∪", tuple(parse_answer(part) for part in unions))
    parts = _split(text, _JOINTS)
    if len(parts) > 1:
        return Members("", _flat(parts))
    name = _NAME.fullmatch(text)
    inner = (
        (name[2] if name and re.match(r"[(\[{\\]", name[2]) else text).strip().replace("\\{", "{").replace("\\}", "}")
    )
    if inner[:1] in _PAIRS and inner[-1:] in _PAIRS.values() and _closes_last(inner):
        members = _split(inner[1:-1], _JOINTS)
        if len(members) > 1 or inner[0] == "{":
            return Members(inner[0] + inner[-1], tuple(parse_answer(part) for part in members if part))
    return text


def _agree(gold: str, reply: str, equal: Equal) -> bool:
    return same_text(gold, reply) or _equal(parse_answer(gold), parse_answer(reply), equal)


def _equal(gold: Answer, reply: Answer, equal: Equal) -> bool:
    if isinstance(gold, str) and isinstance(reply, str):
        return _equal_values(gold, reply, equal)
    gold, reply = _as_members(gold), _as_members(reply)
    kinds = {gold.brackets.replace("{}", ""), reply.brackets.replace("{}", "")}
    if kinds == {"", "()"}:
        gold, reply = _in_order_of_names(gold), _in_order_of_names(reply)
        kinds = {gold.brackets, reply.brackets}
    if len(kinds) > 1:
        return False
    if next(iter(kinds)) not in {"", "∪"}:
        pairs = zip(gold.values, reply.values, strict=False)
        return len(gold.values) == len(reply.values) and all(_equal(one, other, equal) for one, other in pairs)
    return _match(gold.values, reply.values, equal) and _match(reply.values, gold.values, equal)


def _match(some: Sequence[Answer], others: Sequence[Answer], equal: Equal) -> bool:
    """Whether each of some values has an equal one among the others."""
    return all(any(_equal(one, other, equal) for other in others) for one in some)


def _equal_values(gold: str, reply: str, equal: Equal) -> bool:
    """Two single values: by text, as quantities, times, ratios, dates, words; only then by algebra."""
    if same_text(gold, reply) or (_NONE.fullmatch(gold) and _NONE.fullmatch(reply)):
        return True
    if _has_name(gold) and _has_name(reply) and _has_name(gold) != _has_name(reply):
        return False
    gold, reply = _value(gold), _value(reply)
    if same_text(gold, reply):
        return True
    if (times := equal_times(gold, reply)) is not None:
        return times
    if equal_times(reply, gold) is not None and number(gold) is None:
        return False
    first, second = quantity(gold), quantity(reply)
    if is_words(first.body) or is_words(second.body):
        return _equal_dates(gold, reply)
    exact = equal_quantities(first, second)
    if exact is not None:
        return exact
    return _may_be_compared(first.body) and _may_be_compared(second.body) and _by_algebra(first, second, equal)


def _by_algebra(first: "object", second: "object", equal: Equal) -> bool:
    bodies = [one.body + (r"\%" if one.unit == "%" else "") for one in (first, second)]
    return equal(*bodies)


def _equal_dates(gold: str, reply: str) -> bool:
    if not (_MONTHS.search(gold) and _MONTHS.search(reply)):
        return False
    one, other = (
        sorted(
            re.findall(
                r"[a-z]{3}|\d+",
                _MONTHS.sub(
                    lambda found: found[0][:3], re.sub(r"(\d)(?:st|nd|rd|th)\b|\bof\b|\bthe\b", r"\1", text)
                ).lower(),
            )
        )
        for text in (gold, reply)
    )
    return one == other


def _gold(gold: str) -> str:
    """The gold answer in plain notation; a solution is read like a reply."""
    if re.search(r"####|\\f?box(?:ed)?\s*\{", gold) or len(gold) > 200:
        return read_statement(gold).text
    return plain_math(_unwrapped(gold.strip())).strip(" .")


def _unwrapped(text: str) -> str:
    """Without the marks of mathematics around all of a text."""
    found = re.fullmatch(r"\$\$(.+)\$\$|\$([^$]+)\$|\\\((.+)\\\)|\\\[(.+)\\\]", text, re.DOTALL)
    return next(filter(None, found.groups())) if found else text


def _agree_with_all(gold: str, boxes: Sequence[str], equal: Equal) -> bool:
    """Whether all boxes of a reply together are a gold answer of several values: one box for each."""
    right = parse_answer(gold)
    if isinstance(right, str) or right.brackets not in {"", "{}"}:
        return False
    return _equal(Members("", right.values), Members("", _flat(list(dict.fromkeys(boxes)))), equal)


def _is_phrase(gold: str) -> bool:
    """Whether a gold answer is words, not values with their units."""
    values = parse_answer(gold)
    parts = [values] if isinstance(values, str) else [value for value in values.values if isinstance(value, str)]
    return any(is_words(quantity(_value(part)).body) for part in parts)


def _says(gold: str, statement: Statement) -> bool:
    """Whether a statement or the last sentence says the gold words, not their opposite, and not in the negative."""
    sentence = (statement.text if statement.marked else statement.sentence).casefold()
    words = plain_math(gold).casefold()
    if _NONE.fullmatch(gold):
        return bool(re.search(_NONE.pattern, sentence, re.IGNORECASE)) and "{" not in sentence
    found = [*re.finditer(rf"(?<!\w){re.escape(words)}(?!\w)", sentence)]
    if not found or _NEGATES.search(sentence[: found[-1].start()]):
        return False
    if not statement.marked and found[0].start() and not re.search(_COPULA, sentence[: found[-1].start()]):
        return False
    opposites = next((pair for pair in _OPPOSITES if words in pair), set())
    rivals = {word for word in opposites - {words} if re.search(rf"(?<!\w){word}(?!\w)", sentence)}
    dates = len(_MONTHS.findall(sentence)) if _MONTHS.search(words) else 1
    return (
        not rivals
        and dates == 1
        and not (statement.marked and re.search(r"\bor\b|或", sentence) and not re.search(r"\bor\b|或", words))
    )


def _has_name(text: str) -> str:
    found = _NAME.fullmatch(text.strip())
    return found[1].replace(" ", "") if found and "=" not in found[2] else ""


def _value(text: str) -> str:
    """What a value is called, taken away: `x = 5` → `5`; of `2 + 2 = 4` the right side; other equations as they are."""
    text = digits_for_words(text.strip())
    if re.search(r"\\(?:le|ge|ne|lt|gt)(?![a-z])|[<>]", text):
        return text
    if "=" in text and not re.search(r"[A-Za-z]", re.sub(r"\\[A-Za-z]+", "", text.rpartition("=")[0])):
        return text.rpartition("=")[2].strip()
    found = _NAME.fullmatch(text)
    if not found:
        return text
    return found[2].rpartition("=")[2].strip() if "=" in found[2] else found[2].strip()


def _as_members(answer: Answer) -> Members:
    return Members("", (answer,)) if isinstance(answer, str) else answer


def _in_order_of_names(members: Members) -> Members:
    """`y = 4, x = 3` as the pair `(3, 4)`; anything else as it is."""
    names = [_has_name(value) if isinstance(value, str) else "" for value in members.values]
    if members.brackets or len(names) < 2 or not all(names) or len(set(names)) < len(names):
        return members
    return Members(
        "()", tuple(value for _, value in sorted(zip(names, members.values, strict=True), key=lambda pair: pair[0]))
    )


def _interval(text: str) -> Members | None:
    """An inequality of one variable as the interval that it is: `1 < x \\le 2` → `(1, 2]`; None for anything else."""
    parts = re.split(r"\s*(\\le|\\ge|<|>)(?![a-z])\s*", text.strip())
    if len(parts) not in {3, 5} or any(sign in text for sign in ("=", "\\ne")):
        return None
    if len(parts) == 3 and re.fullmatch(_VARIABLE, parts[2]):
        parts = [parts[2], _TURNED[parts[1]], parts[0]]
    if len(parts) == 3 and re.fullmatch(_VARIABLE, parts[0]):
        closed = "]" if parts[1] == "\\le" else "[" if parts[1] == "\\ge" else ""
        if parts[1] in {"\\ge", ">"}:
            return Members((closed or "(") + ")", (parts[2], "\\infty"))
        return Members("(" + (closed or ")"), ("-\\infty", parts[2]))
    if (
        len(parts) == 5
        and re.fullmatch(_VARIABLE, parts[2])
        and (parts[1] in {"<", "\\le"}) == (parts[3] in {"<", "\\le"})
    ):
        if parts[1] in {">", "\\ge"}:
            parts = [parts[4], _TURNED[parts[3]], parts[2], _TURNED[parts[1]], parts[0]]
        return Members(
            ("[" if parts[1] == "\\le" else "(") + ("]" if parts[3] == "\\le" else ")"), (parts[0], parts[4])
        )
    return None


def _may_be_compared(body: str) -> bool:
    """Whether algebra may be tried: towers of powers take it forever."""
    depth = deepest = 0
    for sign in re.findall(r"\^\{|[{}]", body):
        depth = depth + 1 if sign != "}" else max(0, depth - 1)
        deepest = max(deepest, depth)
    return not (body.count("^") > _DEEPEST_POWER and deepest > _DEEPEST_POWER)


def _both_signs(text: str) -> tuple[str, ...] | None:
    if text.count(r"\pm") != 1:
        return None
    name = _NAME.fullmatch(text)
    value = name[2] if name else text
    return tuple(
        re.sub(r"\\pm\s*", sign, value) if value.strip()[:3] != r"\pm" else re.sub(r"\\pm\s*", sign.strip("+"), value)
        for sign in ("+", "-")
    )


def _without_domain(text: str) -> str:
    return re.sub(r"\s*(?:,|\s)\s*(?:where|with|for)\s.*$", "", text)


def _flat(parts: Sequence[str]) -> tuple[Answer, ...]:
    values: list[Answer] = []
    for part in parts:
        parsed = parse_answer(part)
        values.extend(parsed.values if isinstance(parsed, Members) and parsed.brackets in {"", "{}"} else [parsed])
    return tuple(values)


def _split(text: str, joint: re.Pattern[str]) -> list[str]:
    """The text at joints that stand in no bracket; a half-open interval's brackets match each other."""
    parts, depth, start, place = [], 0, 0, 0
    while place < len(text):
        if not depth and place and (found := joint.match(text, place)) and found.end() > place:
            parts.append(text[start:place])
            start = place = found.end()
            continue
        depth += {"(": 1, "[": 1, "{": 1, ")": -1, "]": -1, "}": -1}.get(text[place], 0)
        depth, place = max(0, depth), place + 1
    return [part.strip() for part in [*parts, text[start:]] if part.strip()]


def _closes_last(text: str) -> bool:
    """Whether the first bracket of a text is closed by its last."""
    depth = 0
    for place, sign in enumerate(text):
        depth += (sign in _PAIRS) - (sign in _PAIRS.values())
        if not depth:
            return place == len(text) - 1
    return False
