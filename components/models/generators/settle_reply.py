"""Turns what a model wrote into a reply: reasoning separated, leaked control tokens removed, failed if it is empty."""

from collections.abc import Sequence
from dataclasses import dataclass

from components.models.generators.cut_control_tokens import cut_control_tokens, cut_header
from components.models.generators.generator import Reply
from components.shared.storable import storable
from components.shared.thought import split_thought

THINKING_OFF = "extra: {chat_template_kwargs: {enable_thinking: false}}"
ONLY_REASONING = "no answer, only reasoning"
TRUNCATED_THOUGHT = f"{ONLY_REASONING}, truncated by max_tokens"
TRUNCATED_BEFORE = "no answer before max_tokens"
EMPTY = "no answer: the reply is empty"


@dataclass(frozen=True)
class Written:
    """What a model wrote for one request, as it came.

    Attributes:
        text: everything that it wrote, including tags, except `reasoning`.
        reasoning: the reasoning that the server returned separately.
        truncated: it ended because of max_tokens.
        opened: the prompt ends with a tag that opens a thought.
        generated: control tokens in the text are known to be tokens, not spelt-out text.
        tokens_in: tokens of the prompt, 0 where unknown.
        tokens_out: tokens of the reply, 0 where unknown.
    """

    text: str
    reasoning: str = ""
    truncated: bool = False
    opened: bool = False
    generated: bool = False
    tokens_in: int = 0
    tokens_out: int = 0


def settle_reply(key: str, written: Written, *, stop: Sequence[str] = (), may_be_empty: bool = False) -> Reply:
    """The reply to the request `key`; its finish is `error` where the text contains no answer.

    Args:
        key: the request's key.
        written: what the model wrote.
        stop: texts that end it. Backends stop at them, some a little later; all are truncated here.
        may_be_empty: whether an empty text is an answer. A local model that ends at once meant it; a server's empty
            answer may have any cause.
    """
    shown = until_stop(written.text, stop)
    text, reasoning = storable(shown), storable(written.reasoning)
    begun = cut_header(text)
    parted = split_thought(begun.text, opened=written.opened)
    answer = cut_control_tokens(parted.answer, generated=written.generated)
    thought = cut_control_tokens(parted.reasoning).text
    facts = {
        "reasoning": "\n\n".join(filter(None, (reasoning.strip(), thought))),
        "tokens_in": written.tokens_in,
        "tokens_out": written.tokens_out,
        "leaked": begun.leaked or answer.leaked,
        "mended": (text, reasoning) != (shown, written.reasoning),
    }
    # What follows an end of turn, or a stop text, isn't part of the answer: a limit there did not truncate the answer.
    truncated = written.truncated and not answer.ended and shown == written.text
    thought_only = bool(facts["reasoning"]) or parted.unfinished
    if answer.text.strip() or (may_be_empty and not thought_only):
        return Reply(key=key, text=answer.text, finish="length" if truncated else "stop", **facts)
    reason = why_empty(thought_only=thought_only, truncated=truncated, leaked=answer.ended)
    return Reply(key=key, text=reason, finish="error", **facts)


def until_stop(text: str, stop: Sequence[str]) -> str:
    """A text up to the first of the texts that end it."""
    found = [place for one in stop if (place := text.find(one)) >= 0]
    return text[: min(found)] if found else text


def end_at_stop(reply: Reply, stop: Sequence[str]) -> Reply:
    """A reply of a server up to the first of the texts that end it."""
    text = until_stop(reply.text, stop)
    if reply.finish == "error" or text == reply.text:
        return reply
    return reply.model_copy(update={"text": text, "finish": "stop"})


def why_empty(*, thought_only: bool, truncated: bool, leaked: bool = False) -> str:
    """Why there is no answer, and the remedy."""
    if thought_only and truncated:
        return f"{TRUNCATED_THOUGHT}: raise max_tokens, or turn thinking off ({THINKING_OFF})"
    if thought_only:
        return f"{ONLY_REASONING}: turn thinking off ({THINKING_OFF}), or raise max_tokens"
    if truncated:
        return f"{TRUNCATED_BEFORE}: raise max_tokens; where the model thinks first, turn it off ({THINKING_OFF})"
    return "no answer: the reply is only a control token" if leaked else EMPTY


def is_only_reasoning(reply: Reply) -> bool:
    """Whether a reply failed because it is a thought without an answer."""
    return reply.finish == "error" and reply.text.startswith(ONLY_REASONING)


def is_empty(reply: Reply) -> bool:
    """Whether a reply failed only because the model ended its turn at once."""
    return reply.finish == "error" and reply.text.startswith(EMPTY)


def needs_more_tokens(reply: Reply) -> bool:
    """Whether a reply failed only because max_tokens ended it before there was an answer."""
    return reply.finish == "error" and reply.text.startswith((TRUNCATED_THOUGHT, TRUNCATED_BEFORE))
