"""What a model wrote becomes a reply: reasoning apart, leaked control tokens cut, failed where no answer is left."""

from dataclasses import dataclass

from components.models.cut_control_tokens import cut_control_tokens, cut_header
from components.models.teacher import Reply
from components.shared.storable import storable
from components.shared.thought import split_thought

THINKING_OFF = "extra: {chat_template_kwargs: {enable_thinking: false}}"
ONLY_REASONING = "no answer, only reasoning"
CUT_THOUGHT = f"{ONLY_REASONING}, cut by max_tokens"
CUT_BEFORE = "no answer before max_tokens"


@dataclass(frozen=True)
class Written:
    """What a model wrote to one request, before any of it is read.

    Attributes:
        text: all that it wrote, tags and all; what a server has split off already is in `reasoning`.
        reasoning: the reasoning that a server split off.
        truncated: it ended at max_tokens.
        opened: the prompt ends with a tag that opens a thought.
        generated: control tokens in the text are known to be tokens of their own.
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


def settle_reply(key: str, written: Written, *, may_be_empty: bool = False) -> Reply:
    """The reply to the request `key`; one with the finish `error` where there is no answer in it.

    Args:
        key: the request's key.
        written: what the model wrote.
        may_be_empty: a model that ends at once has said so; a server's empty answer may have any cause.
    """
    text, reasoning = storable(written.text), storable(written.reasoning)
    begun = cut_header(text)
    parted = split_thought(begun.text, opened=written.opened)
    answer = cut_control_tokens(parted.answer, generated=written.generated)
    thought = cut_control_tokens(parted.reasoning).text
    facts = {
        "reasoning": "\n\n".join(filter(None, (reasoning.strip(), thought))),
        "tokens_in": written.tokens_in,
        "tokens_out": written.tokens_out,
        "leaked": begun.leaked or answer.leaked,
        "mended": (text, reasoning) != (written.text, written.reasoning),
    }
    # What follows an end of turn is no part of the answer: the limit that it met is none of the answer's.
    truncated = written.truncated and not answer.ended
    thought_only = bool(facts["reasoning"]) or parted.unfinished
    if answer.text.strip() or (may_be_empty and not thought_only):
        return Reply(key=key, text=answer.text, finish="length" if truncated else "stop", **facts)
    reason = why_empty(thought_only=thought_only, truncated=truncated, leaked=answer.ended)
    return Reply(key=key, text=reason, finish="error", **facts)


def why_empty(*, thought_only: bool, truncated: bool, leaked: bool = False) -> str:
    """Why there is no answer, and what to do."""
    if thought_only and truncated:
        return f"{CUT_THOUGHT}: raise max_tokens, or turn thinking off ({THINKING_OFF})"
    if thought_only:
        return f"{ONLY_REASONING}: turn thinking off ({THINKING_OFF}), or raise max_tokens"
    if truncated:
        return f"{CUT_BEFORE}: raise max_tokens; where the model thinks first, turn it off ({THINKING_OFF})"
    return "no answer: a control token is all there is" if leaked else "no answer: the reply is empty"


def needs_more_tokens(reply: Reply) -> bool:
    """Whether a reply failed only because max_tokens ended it before there was an answer."""
    return reply.finish == "error" and reply.text.startswith((CUT_THOUGHT, CUT_BEFORE))
