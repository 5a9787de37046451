"""Rows to tokens: the prompt through the model's chat template, and labels on the response alone."""

from array import array
from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from components.models.conversation.chat_template import REMEDY, Refusal
from components.models.conversation.encoder import ConversationEncoder, Encoded
from components.shared.errors import EmptyDataError, ModelError
from components.shared.rows import Message
from components.train.settings import TrainSettings

IGNORED = -100
CHUNK = 512


class PromptAndCompletion(Protocol):
    """A row to learn from."""

    @property
    def id(self) -> str: ...
    @property
    def prompt(self) -> tuple[Message, ...]: ...
    @property
    def completion(self) -> str: ...


@dataclass(frozen=True)
class Example:
    """Token ids of a prompt, up to where the response begins, and of the response with its end token.

    `desirable` is the label of a KTO row; a row without a label is to be imitated.
    """

    prompt: "array[int]"
    completion: "array[int]"
    desirable: bool = True

    def __len__(self) -> int:
        return len(self.prompt) + len(self.completion)


@dataclass
class Examples:
    """All examples of a training, and how many rows were cut, left out, refused or encoded with care.

    Attributes:
        kept: one for each row that is learnt.
        truncated: rows that were cut at the cutoff.
        dropped: rows that were left out: too long, or without a response.
        refused: rows that the chat template refuses; `refusal` tells of the first.
        control_text: rows of `kept` whose text spells a control token; it is encoded as text.
        without_thought: rows of `kept` whose response lost its thought, since the prompt has closed it already.
    """

    kept: list[Example] = field(default_factory=list)
    truncated: int = 0
    dropped: int = 0
    refused: int = 0
    control_text: int = 0
    without_thought: int = 0
    refusal: str = ""

    @property
    def lengths(self) -> np.ndarray:
        """Tokens of each example."""
        return np.array([len(example) for example in self.kept], dtype=np.int64)

    @property
    def counts(self) -> dict[str, float]:
        """What the manifest says about the rows."""
        return {
            "rows": len(self.kept),
            "rows_truncated": self.truncated,
            "rows_dropped": self.dropped,
            "rows_refused": self.refused,
            "rows_with_control_text": self.control_text,
            "rows_without_thought": self.without_thought,
        }

    def remarks(self) -> list[str]:
        """Lines for the log, one for each thing that happened to rows."""
        said = {
            f"too long: {self.truncated} rows cut, {self.dropped} rows left out": self.truncated + self.dropped,
            f"{self.refused} rows left out, the first: {self.refusal}": self.refused,
            f"{self.control_text} rows spell a control token in their text; it is encoded as text": self.control_text,
            f"{self.without_thought} responses are learnt without their thought: the chat template's prompt has closed "
            "the thought": self.without_thought,
        }
        return [line for line, count in said.items() if count]


def build_examples(template: "Template", rows: Iterable[PromptAndCompletion], settings: TrainSettings) -> Examples:
    """Tokenize all rows; every example has at least one response token. Tokens are held in memory, 4 bytes each.

    Raises:
        ModelError: the tokenizer has no end token.
        EmptyDataError: no row is left.
    """
    examples: Examples = Examples()
    chunk: list[PromptAndCompletion] = []
    for row in rows:
        chunk.append(row)
        if len(chunk) == CHUNK:
            _add_all(examples, template, chunk, settings)
            chunk = []
    _add_all(examples, template, chunk, settings)
    if not examples.kept:
        raise _nothing_left(examples, settings)
    return examples


def _nothing_left(examples: Examples, settings: TrainSettings) -> EmptyDataError:
    reasons = []
    if examples.dropped:
        reasons.append(f"{examples.dropped} have a prompt of {settings.cutoff} tokens or more, or no response")
    if examples.refused:
        reasons.append(f"{examples.refused} are refused, the first: {examples.refusal}")
    return EmptyDataError(
        f"no row is left to train on: {'; '.join(reasons) or 'there were none'}",
        remedy=REMEDY if examples.refused else "raise the cutoff, or look at the select step's rows",
    )


def _add_all(
    examples: Examples, template: "Template", chunk: list[PromptAndCompletion], settings: TrainSettings
) -> None:
    for row, encoded in zip(chunk, template.encode([(row.prompt, row.completion) for row in chunk]), strict=True):
        if isinstance(encoded, Refusal):
            examples.refused += 1
            examples.refusal = examples.refusal or encoded.about(row.id)
        else:
            _add(examples, row, encoded, settings)


def _add(examples: Examples, row: PromptAndCompletion, encoded: Encoded, settings: TrainSettings) -> None:
    room = settings.cutoff - len(encoded.prompt)
    too_long = len(encoded.completion) > room
    # A completion that is nothing but its end token teaches to say nothing.
    empty = not row.completion.strip() or len(encoded.completion) < 2
    if empty or room < 1 or (too_long and settings.over_long == "drop"):
        examples.dropped += 1
        return
    examples.truncated += too_long
    examples.control_text += encoded.control_text
    examples.without_thought += encoded.without_thought
    desirable = bool(getattr(row, "label", True))
    examples.kept.append(Example(array("i", encoded.prompt), array("i", encoded.completion[:room]), desirable))


class Template:
    """A model's chat template, as training needs it.

    Prompt and response are encoded as in every other step (components/models/conversation): the prompt is what
    generation is given, and the response what the template makes of it up to and with the end token. The model learns
    exactly what it sees and says when it answers. Whether the template marks generations makes no difference.
    """

    def __init__(self, tokenizer: Any, end_tokens: Set[int] = frozenset(), reference: str = "") -> None:
        """`end_tokens` are ids that also end a response, from the model's generation config. Raises ModelError."""
        reference = reference or str(tokenizer.name_or_path)
        if not getattr(tokenizer, "chat_template", None):
            raise ModelError(
                f"the model at {reference!r} has no chat template",
                rule="rows are conversations, and the template says how the model reads one",
                remedy="start from an instruction-tuned model, or put a chat_template.jinja into the model's folder",
            )
        self._encoder = ConversationEncoder(tokenizer, reference, end_tokens)

    def encode(self, pairs: Sequence[tuple[Sequence[Message], str]]) -> list[Encoded | Refusal]:
        """Prompt ids and response ids (with the end token) of each pair, or why the template refuses it."""
        return self._encoder.answered(pairs)


def columns_with_labels(examples: Sequence[Example]) -> dict[str, list[Any]]:
    """Columns `input_ids` and `labels` (-100 on the prompt) for supervised training."""
    ids = [example.prompt + example.completion for example in examples]
    labels = [array("i", [IGNORED]) * len(example.prompt) + example.completion for example in examples]
    return {"input_ids": [np.asarray(row) for row in ids], "labels": [np.asarray(row) for row in labels]}
