"""Replies that continue with another question, which they answer too."""

import re
from collections.abc import Callable

RUN_ON = re.compile(
    r"\n\s*(?:\*\*|#+\s*)?(?:Q|Question|Problem|Exercise|Example|Human|User|问题|问|题目|例题)\s*\d*\s*(?:\*\*)?[:：.](?!\s*$)"
    r"|\n\s*#+\s*(?:Question|Problem|Exercise|Example)\s*\d+|<\|im_(?:start|end)\|>|(?<=[.\d])\s*\bQ:\s",
    re.IGNORECASE,
)
"""The start of another question."""


def first_answer(text: str, states: Callable[[str], bool]) -> str:
    """The text before the first further question that follows an answer; the complete text where there is none.

    Args:
        text: the reply.
        states: whether a text states an answer.
    """
    ends = (found.start() for found in RUN_ON.finditer(text))
    return next((text[:end] for end in ends if states(text[:end])), text)
