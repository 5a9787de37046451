"""Rows to tokens: the prompt through the model's chat template, and labels on the response alone."""

from array import array
from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

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
    """All examples of a training, and how many rows were cut or left out."""

    kept: list[Example] = field(default_factory=list)
    truncated: int = 0
    dropped: int = 0

    @property
    def lengths(self) -> np.ndarray:
        """Tokens of each example."""
        return np.array([len(example) for example in self.kept], dtype=np.int64)

    @property
    def counts(self) -> dict[str, float]:
        """What the manifest says about the rows."""
        return {"rows": len(self.kept), "rows_truncated": self.truncated, "rows_dropped": self.dropped}


def build_examples(template: "Template", rows: Iterable[PromptAndCompletion], settings: TrainSettings) -> Examples:
    """Tokenize all rows; every example has at least one response token. Tokens are held in memory, 4 bytes each.

    Raises:
        ModelError: the chat template refuses a conversation.
        EmptyDataError: no row is left.
    """
    examples: Examples = Examples()
    chunk: list[PromptAndCompletion] = []
    for row in rows:
        chunk.append(row)
        if len(chunk) == CHUNK:
            _add(examples, template, chunk, settings)
            chunk = []
    _add(examples, template, chunk, settings)
    if not examples.kept:
        raise EmptyDataError(
            f"no row is left to train on: {examples.dropped} have a prompt of {settings.cutoff} tokens or more, or "
            "no response",
            remedy="raise the cutoff, or look at the select step's rows",
        )
    return examples


def _add(examples: Examples, template: "Template", chunk: list[PromptAndCompletion], settings: TrainSettings) -> None:
    pairs = template.encode([(row.prompt, row.completion) for row in chunk])
    for row, (prompt, completion) in zip(chunk, pairs, strict=True):
        room = settings.cutoff - len(prompt)
        too_long = len(completion) > room
        if not row.completion.strip() or room < 1 or (too_long and settings.over_long == "drop"):
            examples.dropped += 1
            continue
        examples.truncated += too_long
        desirable = bool(getattr(row, "label", True))
        examples.kept.append(Example(array("i", prompt), array("i", completion[:room]), desirable))


class Template:
    """A model's chat template, as training needs it.

    The prompt is rendered as it is for generation, and the response is what the template makes of it up to and with
    the end token: the model learns exactly what it sees and says when it answers. Whether the template marks
    generations makes no difference.
    """

    def __init__(self, tokenizer: Any, end_tokens: Set[int] = frozenset()) -> None:
        """`end_tokens` are ids that also end a response, from the model's generation config. Raises ModelError."""
        if not getattr(tokenizer, "chat_template", None):
            raise ModelError(
                f"the model at {tokenizer.name_or_path!r} has no chat template",
                rule="rows are conversations, and the template says how the model reads one",
                remedy="start from an instruction-tuned model, or put a chat_template.jinja into the model's folder",
            )
        if tokenizer.eos_token_id is None:
            raise ModelError(
                f"the tokenizer at {tokenizer.name_or_path!r} has no end token (eos_token)",
                rule="a response ends with a token that stops the generation",
                remedy="set eos_token in tokenizer_config.json",
            )
        self._tokenizer = tokenizer
        self._end_tokens = {tokenizer.eos_token_id, *end_tokens}

    def encode(self, pairs: Sequence[tuple[Sequence[Message], str]]) -> list[tuple[list[int], list[int]]]:
        """Prompt ids and response ids (with the end token) of each pair."""
        if not pairs:
            return []
        texts = [self._render(prompt, completion) for prompt, completion in pairs]
        prompts = self._tokenizer([prompt for prompt, _ in texts], add_special_tokens=False)["input_ids"]
        answers = self._tokenizer([answer for _, answer in texts], add_special_tokens=False)["input_ids"]
        return [(prompt, self._ended(answer)) for prompt, answer in zip(prompts, answers, strict=True)]

    def _render(self, prompt: Sequence[Message], completion: str) -> tuple[str, str]:
        """The prompt's text, and the text of the response and what the template puts after it."""
        messages = [message.model_dump() for message in prompt]
        asked = self._apply(messages, add_generation_prompt=True)
        whole = self._apply([*messages, {"role": "assistant", "content": completion}], add_generation_prompt=False)
        if whole.startswith(asked):
            return asked, whole[len(asked) :]
        # Some templates render a last answer in another way than they ask for one (an empty thought, for example).
        before, found, after = whole.rpartition(completion)
        return asked, completion + after if found and before else completion

    def _apply(self, messages: list[dict[str, str]], add_generation_prompt: bool) -> str:
        try:
            return str(
                self._tokenizer.apply_chat_template(
                    messages, tokenize=False, add_generation_prompt=add_generation_prompt
                )
            )
        except Exception as error:  # a template is a program of its own: jinja2's errors, or what it raises itself
            roles = ", ".join(message["role"] for message in messages)
            raise ModelError(
                f"the model's chat template fails on a conversation of {roles}: {error}",
                remedy="use rows without the roles that it refuses, or another template",
            ) from error

    def _ended(self, answer: list[int]) -> list[int]:
        """The response up to and with its end token; templates may put a line break after it, or no end token."""
        for place in range(len(answer) - 1, -1, -1):
            if answer[place] in self._end_tokens:
                return answer[: place + 1]
        return [*answer, self._tokenizer.eos_token_id]


def columns_with_labels(examples: Sequence[Example]) -> dict[str, list[Any]]:
    """Columns `input_ids` and `labels` (-100 on the prompt) for supervised training."""
    ids = [example.prompt + example.completion for example in examples]
    labels = [array("i", [IGNORED]) * len(example.prompt) + example.completion for example in examples]
    return {"input_ids": [np.asarray(row) for row in ids], "labels": [np.asarray(row) for row in labels]}
