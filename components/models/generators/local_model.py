"""A model that runs in this process: its files, and what is known about its prompts."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from components.models.conversation.chat_template import Refusal
from components.shared.rows import Message

Precision = Literal["auto", "float32", "bfloat16", "float16"]
"""The type of weights and activations; auto: that of the model's files."""


@dataclass(frozen=True)
class ModelFolder:
    """A model's files on this machine.

    Attributes:
        path: the folder.
        reference: how a person names the model, for messages.
        allow_remote_code: run Python code that comes with the model.
        allow_pickled: load weights that are not safetensors: they can run code.
    """

    path: Path
    reference: str
    allow_remote_code: bool = False
    allow_pickled: bool = False


class LocalPrompts(Protocol):
    """What is known about prompts before the model is asked: an endpoint alone knows its chat template."""

    context: int
    """Most tokens of prompt and answer together."""

    def refusal(self, messages: Sequence[Message]) -> Refusal | None:
        """Why the chat template refuses a conversation; None where it accepts it."""
        ...

    def opens_thought(self, messages: Sequence[Message]) -> bool:
        """Whether the prompt of a conversation ends with a tag that opens a thought."""
        ...
