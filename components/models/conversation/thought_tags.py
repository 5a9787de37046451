"""Tags of thoughts at the end of a prompt and at the start of an answer: a thought is opened once."""

import re
from dataclasses import dataclass

from components.shared.thought import opens_thought, split_thought

TAG = r"<[^<>\s]+>|\[[^\[\]\s]+\]|◁[^◁▷\s]+▷"
_FIRST = re.compile(rf"\s*({TAG})")
_LAST = re.compile(rf"({TAG})(\s*)\Z")


def closes_thought(tag: str) -> bool:
    """Whether a tag closes a thought."""
    return bool(split_thought(f"a{tag}b").reasoning)


def holds_thought(text: str) -> bool:
    """Whether a text starts with a thought, or inside one."""
    parted = split_thought(text)
    return bool(parted.reasoning) or parted.unfinished or parted.answer != text


@dataclass(frozen=True)
class Continuation:
    """The rest of an answer after its prompt; `without_thought`: its thought is left out."""

    text: str
    without_thought: bool = False


def continue_thought(prompt_end: str, answer: str) -> Continuation:
    """An answer with a thought of its own, as it continues a prompt.

    After a prompt that opens a thought, its opening tag is left out; after one whose (empty) thought is closed, its
    thought is: the model would never see a second one.

    Args:
        prompt_end: what the template writes after the last message to ask for an answer.
        answer: the answer with its thought.
    """
    last = _LAST.search(prompt_end)
    if last is None:
        return Continuation(answer)
    if closes_thought(last[1]):
        return Continuation(split_thought(answer).answer, without_thought=True)
    first = _FIRST.match(answer)
    if opens_thought(last[1]) and first is not None and opens_thought(first[1]):
        return Continuation(answer[first.end() :].removeprefix(last[2]))
    return Continuation(answer)
