"""The reasoning that some models write before their answer, split from the answer.

Tags are those of today's open reasoning models: `<think>` (DeepSeek-R1, Qwen3 and most others), `<thinking>`,
`<thought>`, `<reasoning>`, `[THINK]` (Magistral) and `<|begin_of_thought|>` (Sky-T1).
"""

import re
from dataclasses import dataclass

_PAIRS = (
    *((rf"<{name}>", rf"</{name}>") for name in ("think", "thinking", "thought", "reasoning")),
    (r"\[THINK\]", r"\[/THINK\]"),
    (r"<\|begin_of_thought\|>", r"<\|end_of_thought\|>"),
)
# A tag that opens stands at the beginning of a line: in the middle of one it is being talked about.
_BLOCK = re.compile(
    "|".join(rf"^[ \t]*{opening}(.*?){closing}" for opening, closing in _PAIRS), re.DOTALL | re.MULTILINE
)
# A block whose opening tag is in the prompt: nothing before the tag that closes names the one that opens.
_CLOSING = re.compile("|".join(rf"\A((?:(?!{opening}).)*?){closing}" for opening, closing in _PAIRS), re.DOTALL)
_OPENING = re.compile("|".join(rf"^[ \t]*{opening}(.*)" for opening, _ in _PAIRS), re.DOTALL | re.MULTILINE)


@dataclass(frozen=True)
class Parted:
    """A text in two.

    Attributes:
        reasoning: what was thought, without its tags; empty where nothing was.
        answer: the text without it, stripped where a thought was taken out, else unchanged.
        unfinished: a thought was opened and never closed, so that `answer` holds at most what came before it.
    """

    reasoning: str
    answer: str
    unfinished: bool = False


def split_thought(text: str) -> Parted:
    """Split the reasoning off a reply.

    A block whose opening tag is in the prompt, so that the reply begins within it, ends at its closing tag.
    """
    thoughts: list[str] = []

    def take(found: re.Match[str]) -> str:
        thoughts.append(next(group for group in found.groups() if group is not None).strip())
        return ""

    answer = _BLOCK.sub(take, text)
    answer = _CLOSING.sub(take, answer, count=1)
    answer, unfinished = _OPENING.subn(take, answer, count=1)
    if not thoughts:
        return Parted("", text)
    return Parted("\n\n".join(filter(None, thoughts)), answer.strip(), bool(unfinished))


def answer_of(reply: str) -> str:
    """The answer within a reply, without its reasoning; empty where the reply was truncated before its answer."""
    parted = split_thought(reply)
    return "" if parted.unfinished else parted.answer
