"""The reasoning that some models write before their answer, split from the answer.

Tags are those of today's open reasoning models: `<think>` (DeepSeek-R1, Qwen3 and most others), `<thinking>`,
`<thought>`, `<reasoning>`, `[THINK]` (Magistral), `<|begin_of_thought|>` (Sky-T1), `<seed:think>` (Seed-OSS), `◁think▷`
(Kimi), `<|START_THINKING|>` (Command A), gpt-oss' `analysis` channel and Gemma 4's `thought` channel.
"""

import re
from dataclasses import dataclass

_TAGS = (
    *((f"<{name}>", f"</{name}>") for name in ("think", "thinking", "thought", "reasoning", "seed:think")),
    ("[THINK]", "[/THINK]"),
    ("<|begin_of_thought|>", "<|end_of_thought|>"),
    ("◁think▷", "◁/think▷"),
    ("<|START_THINKING|>", "<|END_THINKING|>"),
)
# Their closing tags close other things too, so these are recognised only with the opening tag.
_CHANNEL_TAGS = (("<|channel|>analysis<|message|>", "<|end|>"), ("<|channel>thought\n", "<channel|>"))
# A cheap first test, since every answer is searched for tags.
_MAY_BEGIN = re.compile(r"[<\[◁][|/a-zA-Z]")
_MARKS = (*(tag for pair in _TAGS for tag in pair), *(opening for opening, _ in _CHANNEL_TAGS))
_PAIRS = tuple((re.escape(opening), re.escape(closing)) for opening, closing in _TAGS)
_CHANNELS = tuple((re.escape(opening), re.escape(closing)) for opening, closing in _CHANNEL_TAGS)
# An opening tag is at the beginning of a line: in the middle of one it is only mentioned.
_BLOCK = re.compile(
    "|".join(rf"^[ \t]*{opening}(.*?){closing}" for opening, closing in (*_PAIRS, *_CHANNELS)), re.DOTALL | re.MULTILINE
)
# A block whose opening tag is in the prompt: the closing tag comes without an opening one.
_CLOSING = re.compile("|".join(rf"\A((?:(?!{opening}).)*?){closing}" for opening, closing in _PAIRS), re.DOTALL)
_OPENING = re.compile(
    "|".join(rf"^[ \t]*{opening}(.*)" for opening, _ in (*_PAIRS, *_CHANNELS)), re.DOTALL | re.MULTILINE
)
_OPENED = re.compile(f"(?:{'|'.join(opening for opening, _ in _PAIRS)})\\s*\\Z")
_AGAIN = re.compile(f"\\A\\s*(?:{'|'.join(opening for opening, _ in _PAIRS)})")
# A tag as a token of its own, which a tokenizer may count among its special tokens.
_TAG = re.compile("|".join(tag for pair in _PAIRS for tag in pair))


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


def split_thought(text: str, *, opened: bool = False) -> Parted:
    """Split the reasoning off a reply.

    A block whose opening tag is in the prompt, so that the reply begins within it, ends at its closing tag.

    Args:
        text: the reply.
        opened: the prompt is known to end with an opening tag: without a closing one, all of the reply is a thought.
    """
    if not opened and not (_MAY_BEGIN.search(text) and any(mark in text for mark in _MARKS)):
        return Parted("", text)
    thoughts: list[str] = []

    def take(found: re.Match[str]) -> str:
        thoughts.append(next(group for group in found.groups() if group is not None).strip())
        return ""

    answer = _BLOCK.sub(take, text)
    answer, closed = _CLOSING.subn(take, answer, count=1)
    if opened and not closed and not thoughts:
        return Parted(_AGAIN.sub("", text).strip(), "", unfinished=True)
    answer, unfinished = _OPENING.subn(take, answer, count=1)
    if not thoughts:
        return Parted("", text)
    return Parted("\n\n".join(filter(None, thoughts)), answer.strip(), bool(unfinished))


def answer_of(reply: str) -> str:
    """The answer within a reply, without its reasoning; empty where the reply was truncated before its answer."""
    parted = split_thought(reply)
    return "" if parted.unfinished else parted.answer


def opens_thought(prompt: str) -> bool:
    """Whether a prompt ends with an opening tag, so that the reply begins within the thought."""
    return bool(_OPENED.search(prompt))


def is_thought_tag(token: str) -> bool:
    """Whether a token is a tag that opens or closes a thought."""
    return bool(_TAG.fullmatch(token))


def with_thought(reasoning: str, answer: str) -> str:
    """An answer with its reasoning in front, in the tags that most templates read; the answer alone without any."""
    return f"<think>\n{reasoning}\n</think>\n\n{answer}" if reasoning else answer


def with_opening(text: str) -> str:
    """Prefix a continued thought with its opening tag; unchanged if the text contains a thought of its own."""
    return text if split_thought(text).reasoning else f"<think>\n{text}"
