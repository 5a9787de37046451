"""The completion of a prompt: the answer as the chat template renders it, up to and including the end of the turn.

A template may ask for an answer differently than it renders one: with an opened thought (DeepSeek-R1) or an empty one
(Qwen3 without thinking), and it may drop or trim an answer's thought. So the answer's position is found by rendering a
sentinel in its place, never by searching the answer's own text. The completion is then

- what the template writes between the prompt and the answer, where the rendered answer continues the prompt (the model
  generates the empty thought that Qwen3 writes before the last answer);
- the answer: its outer white space and its thought as the template renders them, which is how the model sees its
  answers in later turns; but where the template would lose text, the answer unchanged;
- what follows it, up to and including the first end token. The model does not generate what comes after that.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from components.models.conversation.chat_template import ChatTemplate, Turn
from components.models.conversation.placeholders import SENTINEL
from components.models.conversation.thought_tags import TAG, closes_thought, continue_thought, holds_thought
from components.shared.thought import split_thought


@dataclass(frozen=True)
class Rendered:
    """A prompt and what follows it, as text.

    Attributes:
        prompt: up to where the answer starts, as for generation.
        completion: the answer, and what the template writes around it.
        ended: the completion ends with an end token.
        without_thought: the answer's own thought is left out.
    """

    prompt: str
    completion: str = ""
    ended: bool = False
    without_thought: bool = False


def render_answer(template: ChatTemplate, turns: Sequence[Turn], answer: str, ends: re.Pattern[str]) -> Rendered:
    """The prompt of a conversation, and the completion for its answer.

    Args:
        template: of the model.
        turns: up to the answer.
        answer: the answer's text.
        ends: matches the end tokens.

    Raises:
        RefusedError: the template refuses the conversation, or does not render an answer exactly once.
    """
    asked = template.render(turns, ask=True)
    place = template.render([*turns, _said(SENTINEL)])
    before, found, after = place.partition(SENTINEL)
    if not found or SENTINEL in after:
        times = place.count(SENTINEL)
        raise template.refused([*turns, _said(answer)], "assistant", f"it renders an answer {times} times, not once")
    whole = template.render([*turns, _said(answer)])
    ending, ended = _ending(after, ends)
    if holds_thought(answer):
        return _with_thought(template, turns, answer, Places(asked, after, whole), (ending, ended))
    glue = before.removeprefix(asked) if before.startswith(asked) else ""
    return Rendered(asked, glue + _as_rendered(before, after, whole, answer) + ending, ended)


@dataclass(frozen=True)
class Places:
    """Renderings of one conversation: the prompt, what is after an answer, and all of it with the answer."""

    asked: str
    after: str
    whole: str


def _with_thought(
    template: ChatTemplate, turns: Sequence[Turn], answer: str, places: Places, ending: tuple[str, bool]
) -> Rendered:
    said = _between(places.asked, places.after, places.whole)
    if said is not None and _same_thought(said, answer):
        return Rendered(places.asked, said + ending[0], ending[1])
    base = template.render(turns)
    prompt_end = places.asked.removeprefix(base) if places.asked.startswith(base) else places.asked
    going_on = continue_thought(prompt_end, answer)
    return Rendered(places.asked, going_on.text + ending[0], ending[1], going_on.without_thought)


def _as_rendered(before: str, after: str, whole: str, answer: str) -> str:
    """The answer as the template renders it, if only leading or trailing white space differs."""
    said = _between(before, after, whole)
    return said if said is not None and said.strip() == answer.strip() else answer


def _between(before: str, after: str, whole: str) -> str | None:
    """The part of a text between a prefix and a suffix; None where it lacks these."""
    fits = whole.startswith(before) and whole.endswith(after) and len(whole) >= len(before) + len(after)
    return whole[len(before) : len(whole) - len(after)] if fits else None


def _same_thought(said: str, answer: str) -> bool:
    """Whether two texts have the same thought and answer, and no further thought, not even an empty one."""
    one, other = split_thought(said), split_thought(answer)
    same = (one.reasoning, one.answer.strip()) == (other.reasoning, other.answer.strip())
    return same and one.unfinished == other.unfinished and _closings(said) == _closings(answer)


def _closings(text: str) -> int:
    return sum(closes_thought(tag) for tag in re.findall(TAG, text))


def _ending(after: str, ends: re.Pattern[str]) -> tuple[str, bool]:
    """What follows an answer, up to and including the first end token, and whether there is one."""
    end = ends.search(after)
    return (after.rstrip(), False) if end is None else (after[: end.end()], True)


def _said(content: str) -> Turn:
    return {"role": "assistant", "content": content}
