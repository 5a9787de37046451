"""Forms that a reply can be asked for: rewards beside whether it is right. To add one, write a function and a line."""

import re
from collections.abc import Callable

from components.shared.thought import answer_of, split_thought

Form = Callable[[str], bool]
"""Whether a reply, with its thought in tags, has the form."""

_BOXED = re.compile(r"\\boxed\s*\{")


def is_boxed(text: str) -> bool:
    r"""Whether the answer has exactly one `\boxed{…}`; what a thought boxes does not count."""
    return len(_BOXED.findall(answer_of(text))) == 1


def has_thought(text: str) -> bool:
    """Whether the reply is a thought in tags, closed and not empty, and an answer after it."""
    parted = split_thought(text)
    return not parted.unfinished and bool(parted.reasoning.strip()) and bool(parted.answer.strip())


def has_answer_line(text: str) -> bool:
    """Whether the last line is `#### …`, as GSM8K's answers end."""
    lines = answer_of(text).strip().splitlines()
    return bool(lines) and bool(re.match(r"####\s*\S", lines[-1]))


FORMS: dict[str, Form] = {"boxed": is_boxed, "thought": has_thought, "answer_line": has_answer_line}
"""Forms by name."""
