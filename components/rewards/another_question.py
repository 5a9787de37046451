"""Where a reply goes on to ask itself another question, and to answer that one."""

import re
from collections.abc import Callable

RUN_ON = re.compile(
    r"\n\s*(?:\*\*|#+\s*)?(?:Q|Question|Problem|Exercise|Example|Human|User|问题|问|题目|例题)\s*\d*\s*(?:\*\*)?[:：.](?!\s*$)"
    r"|\n\s*#+\s*(?:Question|Problem|Exercise|Example)\s*\d+|<\|im_(?:start|end)\|>|(?<=[.\d])\s*\bQ:\s",
    re.IGNORECASE,
)
"""The beginning of another question."""


def first_answer(text: str, states: Callable[[str], bool]) -> str:
    """The text up to another question that it goes on to ask; all of it where nothing is stated before one.

    Args:
        text: what was said.
        states: whether a text states an answer.
    """
    ends = (found.start() for found in RUN_ON.finditer(text))
    return next((text[:end] for end in ends if states(text[:end])), text)
