"""Decodes answers, keeping the tags of thoughts and turns that are read afterwards."""

from collections.abc import Sequence
from typing import Any

from components.models.generators.cut_control_tokens import is_turn_token
from components.models.generators.prompts import Prompt
from components.shared.thought import is_thought_tag, opens_thought

# Longer than any opening tag with what follows it, in tokens.
TAIL_TOKENS = 16


def hidden_ids(tokenizer: Any) -> frozenset[int]:
    """Special tokens that are not part of an answer, such as padding.

    Tags of thoughts, and tokens that start or end a turn, are not hidden, though some tokenizers flag them as special:
    without them a thought, or the next turn, would look like part of the answer.
    """
    return frozenset(
        token_id
        for token_id, token in zip(tokenizer.all_special_ids, tokenizer.all_special_tokens, strict=True)
        if not is_thought_tag(token) and not is_turn_token(token)
    )


def decode_answers(tokenizer: Any, answers: Sequence[Sequence[int]], hidden: frozenset[int]) -> list[str]:
    """The texts of answers, without the hidden tokens."""
    shown = [[token for token in answer if token not in hidden] for answer in answers]
    texts: list[str] = tokenizer.batch_decode(shown, skip_special_tokens=False, clean_up_tokenization_spaces=False)
    return texts


def begins_in_thought(tokenizer: Any, prompt: Prompt) -> bool:
    """Whether the chat template opened a thought at the end of the prompt, so that the answer starts inside it."""
    return opens_thought(tokenizer.decode(prompt.ids[-TAIL_TOKENS:], skip_special_tokens=False))
