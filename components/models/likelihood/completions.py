"""Conversations and the answers to score, as token ids: one prompt with its branches."""

from collections.abc import Sequence, Set
from dataclasses import dataclass
from typing import Any

from components.models.conversation.chat_template import Refusal
from components.models.conversation.encoder import ConversationEncoder, Encoded
from components.shared.rows import Message

Pair = tuple[tuple[Message, ...], str]
"""A conversation up to the answer, and the answer."""


@dataclass(frozen=True)
class Branches:
    """Token ids of a prompt and of completions that each follow it."""

    prompt: list[int]
    completions: list[list[int]]

    @property
    def tail(self) -> int:
        """How many positions need logits: the prompt's last one, and all completions."""
        return 1 + sum(map(len, self.completions))

    def __len__(self) -> int:
        return len(self.prompt) + self.tail - 1

    def apart(self) -> "list[Branches]":
        """The same branches, each with a prompt of its own."""
        return [Branches(self.prompt, [completion]) for completion in self.completions]


@dataclass(frozen=True)
class Completion:
    """A pair as token ids; `control_text` where the row's text spells a control token, which is encoded as text."""

    branches: Branches
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
        return Completion(Branches(prompt, [completion]), encoded.control_text)


def group(single: Sequence[Branches], longest: int) -> list[list[int]]:
    """Indices of those that can share their prompt, each group of at most `longest` tokens, in order of appearance."""
    by_prompt: dict[tuple[int, ...], list[int]] = {}
    groups: list[list[int]] = []
    for index, one in enumerate(single):
        mine = by_prompt.get(tuple(one.prompt))
        length = len(one.prompt) + sum(one.tail - 1 for one in (single[i] for i in mine or ())) + one.tail - 1
        if mine is None or length > longest:
            mine = []
            groups.append(mine)
            by_prompt[tuple(one.prompt)] = mine
        mine.append(index)
    return groups
