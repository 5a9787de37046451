"""What a model gave as its answer: the text that benchmarks and checks judge."""

from collections.abc import Callable

from components.models.generators.generator import Reply
from components.models.generators.settle_reply import is_empty, is_only_reasoning, needs_more_tokens
from components.shared.thought import with_opening, with_thought


def read_reply(reply: Reply, opened: Callable[[], bool]) -> str | None:
    """The text of a reply, or None where the model gave none.

    A thought without an answer is a reply too: it is shown as unfinished reasoning, which scores 0. Where the prompt
    had opened the thought, and the model ended its turn by itself, what it wrote is the answer even without a closing
    tag, since a student may have learnt to omit it. A turn that ended at once, or that max_tokens ended before the
    answer, is an empty answer.

    Args:
        reply: what a generator made of the model's turn.
        opened: whether the prompt is known to open a thought.
    """
    if reply.finish != "error":
        return with_thought(reply.reasoning, reply.text)
    if is_only_reasoning(reply):
        is_answer = not needs_more_tokens(reply) and opened()
        return reply.reasoning if is_answer else with_opening(reply.reasoning)
    return "" if needs_more_tokens(reply) or is_empty(reply) else None
