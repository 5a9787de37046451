"""Conversations and the answers to score, as token ids."""

from array import array
from collections.abc import Sequence, Set
from dataclasses import dataclass
from typing import Any

from components.models.conversation.chat_template import Refusal
from components.models.conversation.encoder import ConversationEncoder, Encoded
from components.models.forward.example import Example
from components.shared.rows import Message

Pair = tuple[tuple[Message, ...], str]
"""A conversation up to the answer, and the answer."""


@dataclass(frozen=True)
class Completion:
    """A pair as token ids; `control_text` where the row's text spells a control token, which is encoded as text."""

    row: Example
    control_text: bool


class CompletionMaker:
    """Turns pairs into token ids for one model, as training and generation do (components/models/conversation).

    Args:
        tokenizer: with a chat template.
        context: most tokens of a prompt and one completion together.
        reference: the model's, for messages.
        end_ids: ids that end an answer, from the model's generation config.
    """

    def __init__(self, tokenizer: Any, context: int, reference: str = "", end_ids: Set[int] = frozenset()) -> None:
        self.tokenizer, self.context = tokenizer, context
        self._encoder = ConversationEncoder(tokenizer, reference or str(tokenizer.name_or_path), end_ids)

    def make(self, pairs: Sequence[Pair]) -> list[Completion | Refusal]:
        """One for each pair, or why the chat template refuses it. Raises ModelError where the end token is missing."""
        encoded = self._encoder.answered(pairs)
        return [one if isinstance(one, Refusal) else self._cut(one) for one in encoded]

    def _cut(self, encoded: Encoded) -> Completion:
        completion = encoded.completion[: self.context - 1]
        prompt = encoded.prompt[-(self.context - len(completion)) :]
        return Completion(Example(array("i", prompt), array("i", completion)), encoded.control_text)
