"""Rows to tokens: the prompt through the model's chat template, and the response with its end token."""

from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from itertools import islice
from typing import Any, Protocol, TypeVar

from components.models.conversation.chat_template import REMEDY, Refusal
from components.models.conversation.encoder import ConversationEncoder, Encoded
from components.shared.errors import EmptyDataError, ModelError
from components.shared.rows import Message
from components.train.batches.examples import Examples, Kept, SomeExample
from components.train.settings import TrainSettings

CHUNK = 512


class PromptAndCompletion(Protocol):
    """A row with one response to train on."""

    @property
    def id(self) -> str: ...
    @property
    def prompt(self) -> tuple[Message, ...]: ...
    @property
    def completion(self) -> str: ...


AnyRow = TypeVar("AnyRow")
SomeRow = TypeVar("SomeRow", bound=PromptAndCompletion)
MakeExample = Callable[[SomeRow, "array[int]", "array[int]"], SomeExample]
"""A method's example of a row, its prompt's tokens and its response's."""


def build_examples(
    template: "Template",
    rows: Iterable[SomeRow],
    settings: TrainSettings,
    make: MakeExample[SomeRow, SomeExample],
    kept: "Kept[SomeExample] | None" = None,
) -> Examples[SomeExample]:
    """Tokenize all rows; every example has at least one response token.

    Args:
        template: of the model that is trained.
        rows: in the order of the examples.
        settings: what becomes of long rows.
        make: an example of a row and its tokens; `Example` where the tokens are all that the method needs.
        kept: takes the examples; left out: a list, with 4 bytes for each token.

    Raises:
        ModelError: the tokenizer has no end token.
        EmptyDataError: no row is left.
    """
    examples: Examples[SomeExample] = Examples([] if kept is None else kept)
    for chunk in in_chunks(rows):
        for row, encoded in zip(chunk, template.encode([(row.prompt, row.completion) for row in chunk]), strict=True):
            if isinstance(encoded, Refusal):
                examples.refuse(encoded.about(row.id))
            elif (completion := within_max_length(encoded, row.completion, settings)) is None:
                examples.dropped += 1
            else:
                count_response(examples, (encoded, completion))
                examples.kept.append(make(row, array("i", encoded.prompt), completion))
    if not len(examples.kept):
        raise nothing_left(examples, settings)
    return examples


def in_chunks(rows: Iterable[AnyRow]) -> Iterator[list[AnyRow]]:
    """Rows in lists of a size that is quick to encode together."""
    remaining = iter(rows)
    while chunk := list(islice(remaining, CHUNK)):
        yield chunk


def within_max_length(encoded: Encoded, text: str, settings: TrainSettings) -> "array[int] | None":
    """The ids of a response, truncated to the room that its prompt leaves; None where the row is to be dropped."""
    room = settings.max_length - len(encoded.prompt)
    too_long = len(encoded.completion) > room
    # A completion that is nothing but its end token teaches the model to say nothing.
    empty = not text.strip() or len(encoded.completion) < 2
    if empty or room < 1 or (too_long and settings.over_long == "drop"):
        return None
    return array("i", encoded.completion[:room])


def count_response(examples: Examples[Any], *responses: "tuple[Encoded, array[int]]") -> None:
    """Count what happened to a row that is kept, given its responses as they were encoded and as they are kept."""
    examples.truncated += any(len(kept) < len(encoded.completion) for encoded, kept in responses)
    examples.control_text += any(encoded.control_text for encoded, _ in responses)
    examples.without_thought += any(encoded.without_thought for encoded, _ in responses)


def nothing_left(examples: Examples[Any], settings: TrainSettings, *others: str) -> EmptyDataError:
    """The error of a training without rows; `others` are reasons beside those that every method counts."""
    reasons = list(others)
    if examples.dropped:
        reasons.append(f"{examples.dropped} have a prompt of {settings.max_length} tokens or more, or no response")
    if examples.refused:
        reasons.append(f"{examples.refused} are refused, the first: {examples.refusal}")
    return EmptyDataError(
        f"no row is left to train on: {'; '.join(reasons) or 'there were none'}",
        remedy=REMEDY if examples.refused else "raise max_length, or look at the select step's rows",
    )


class Template:
    """A model's chat template, as training needs it.

    Prompt and response are encoded as in every other step (components/models/conversation): the prompt is what
    generation is given, and the response what the template makes of it, up to and including the end token. The model
    is trained on exactly what it sees and generates when it answers. `{% generation %}` in the template has no effect.
    """

    def __init__(self, tokenizer: Any, end_tokens: Set[int] = frozenset(), reference: str = "") -> None:
        """`end_tokens` are ids that also end a response, from the model's generation config. Raises ModelError."""
        reference = reference or str(tokenizer.name_or_path)
        if not getattr(tokenizer, "chat_template", None):
            raise ModelError(
                f"the model at {reference!r} has no chat template",
                rule="rows are conversations, and the template defines how the model reads one",
                remedy="start from an instruction-tuned model, or put a chat_template.jinja into the model's folder",
            )
        self._encoder = ConversationEncoder(tokenizer, reference, end_tokens)

    def encode(self, pairs: Sequence[tuple[Sequence[Message], str]]) -> list[Encoded | Refusal]:
        """Prompt ids and response ids (with the end token) of each pair, or why the template refuses it."""
        return self._encoder.answered(pairs)

    def prompts(self, conversations: Sequence[Sequence[Message]]) -> list[Encoded | Refusal]:
        """Prompt ids of each conversation, up to where the answer starts, or why the template refuses it."""
        return self._encoder.prompts(conversations)
