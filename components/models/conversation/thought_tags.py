"""Tags of thoughts at the end of a prompt and at the beginning of an answer: a thought is opened once."""

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
    """Whether a text begins with a thought, or within one."""
    parted = split_thought(text)
    return bool(parted.reasoning) or parted.unfinished or parted.answer != text


@dataclass(frozen=True)
class Continuation:
    """What remains to be said of an answer; `without_thought` where its thought has no place there."""

    text: str
    without_thought: bool = False


def continue_thought(prompt_end: str, answer: str) -> Continuation:
    """An answer that brings its own thought, as it goes on behind a prompt.

    Behind a prompt that opens a thought, without its opening tag; behind one whose (empty) thought is closed, without
    its thought: a second one is nothing that the model would ever see.

    Args:
        prompt_end: what the template writes after the last message to ask for an answer.
        answer: with its thought.
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
