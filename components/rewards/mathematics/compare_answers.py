"""Whether a reply states the right mathematical answer: by its members (members.py), each by value (values.py).

What is identical in plain notation always passes. Everything that is stated counts: of two values both must be there,
and no third one.
"""

import re
from collections.abc import Sequence

from components.rewards.choices.read_choice import read_choice
from components.rewards.mathematics.members import Members, ParsedAnswer, flat, in_order_of_names, name_of, parse_answer
from components.rewards.mathematics.phrases import both_none, is_phrase, says
from components.rewards.mathematics.plain_math import plain_math, same_text
from components.rewards.mathematics.read_statement import read_statement
from components.rewards.mathematics.values import Equal, equal_values, value_of
from components.shared.thought import answer_of

_LONGEST_GOLD = 200
"""Characters; a longer gold answer is a solution that states the answer."""
_LETTER = re.compile(r"\(?([A-J])\)?\.?")


def states_answer(gold: str, reply: str, equal: Equal) -> bool:
    """Whether a reply states the gold answer.

    Args:
        gold: the right answer, alone, or in a solution that states it (`#### 18`, `\\boxed{18}`).
        reply: the complete reply; reasoning in tags is ignored.
        equal: algebraic equality; called only where neither text nor exact numbers decide.
    """
    right = _gold(gold)
    if not right:
        return False
    if same_text(right, plain_math(_unwrapped(answer_of(reply).strip()))):
        return True
    statement = read_statement(reply)
    if letter := _LETTER.fullmatch(right):
        return read_choice(reply) == letter[1] or same_text(right, statement.text)
    if statement.text and _agree(right, statement.text, equal):
        return True
    if is_phrase(right):
        return says(right, statement)
    return len(statement.boxes) > 1 and _agree_with_all(right, statement.boxes, equal)


def same_answer(first: str, second: str, equal: Equal) -> bool:
    """Whether two replies state the same answer; False if one of them states none."""
    one, other = read_statement(first).text, read_statement(second).text
    return bool(one and other) and _agree(one, other, equal)


def _gold(gold: str) -> str:
    """The gold answer in plain notation; a solution is read like a reply."""
    if re.search(r"####|\\f?box(?:ed)?\s*\{", gold) or len(gold) > _LONGEST_GOLD:
        return read_statement(gold).text
    return plain_math(_unwrapped(gold.strip())).strip(" .")


def _unwrapped(text: str) -> str:
    """The text without the delimiters of mathematics around all of it."""
    found = re.fullmatch(r"\$\$(.+)\$\$|\$([^$]+)\$|\\\((.+)\\\)|\\\[(.+)\\\]", text, re.DOTALL)
    return next(filter(None, found.groups())) if found else text


def _agree(gold: str, reply: str, equal: Equal) -> bool:
    return same_text(gold, reply) or _equal(parse_answer(gold), parse_answer(reply), equal)


def _agree_with_all(gold: str, boxes: Sequence[str], equal: Equal) -> bool:
    """Whether the boxes of a reply together state a gold answer of several values, one in each box."""
    right = parse_answer(gold)
    if isinstance(right, str) or right.brackets not in {"", "{}"}:
        return False
    return _equal(Members("", right.values), Members("", flat(list(dict.fromkeys(boxes)))), equal)


def _equal(gold: ParsedAnswer, reply: ParsedAnswer, equal: Equal) -> bool:
    if isinstance(gold, str) and isinstance(reply, str):
        return _equal_named(gold, reply, equal)
    gold, reply = _as_members(gold), _as_members(reply)
    if {_kind(gold), _kind(reply)} == {"", "()"}:
        gold, reply = in_order_of_names(gold), in_order_of_names(reply)
    if _kind(gold) != _kind(reply):
        return False
    if _kind(gold) in {"", "∪"}:
        return _all_in(gold.values, reply.values, equal) and _all_in(reply.values, gold.values, equal)
    pairs = zip(gold.values, reply.values, strict=False)
    return len(gold.values) == len(reply.values) and all(_equal(one, other, equal) for one, other in pairs)


def _all_in(some: Sequence[ParsedAnswer], others: Sequence[ParsedAnswer], equal: Equal) -> bool:
    """Whether each of some values has an equal one among the others."""
    return all(any(_equal(one, other, equal) for other in others) for one in some)


def _equal_named(gold: str, reply: str, equal: Equal) -> bool:
    """Two single values; where both have a name (`x = 5`), the same one."""
    if same_text(gold, reply) or both_none(gold, reply):
        return True
    if name_of(gold) and name_of(reply) and name_of(gold) != name_of(reply):
        return False
    return equal_values(value_of(gold), value_of(reply), equal)


def _kind(members: Members) -> str:
    """The brackets; a set counts as a list."""
    return members.brackets.replace("{}", "")


def _as_members(answer: ParsedAnswer) -> Members:
    return Members("", (answer,)) if isinstance(answer, str) else answer
