"""Token ids of an answer as text, with the tags and turns in it that have to be read."""

from collections.abc import Sequence
from typing import Any

from components.models.cut_control_tokens import is_turn_token
from components.models.prompts import Prompt
from components.shared.thought import is_thought_tag, opens_thought

# Longer than any opening tag and what follows it, in tokens.
TAIL_TOKENS = 16


def hidden_ids(tokenizer: Any) -> frozenset[int]:
    """Special tokens that say nothing in an answer (padding, say).

    Not hidden are tags of thoughts and what begins or ends a turn, which some tokenizers count among their special
    tokens: without them a thought, or the next turn, would pass for a part of the answer.
    """
    return frozenset(
        token_id
        for token_id, token in zip(tokenizer.all_special_ids, tokenizer.all_special_tokens, strict=True)
        if not is_thought_tag(token) and not is_turn_token(token)
    )


def decode_answers(tokenizer: Any, answers: Sequence[Sequence[int]], hidden: frozenset[int]) -> list[str]:
    """The texts of answers, without the tokens that are hidden."""
    shown = [[token for token in answer if token not in hidden] for answer in answers]
    texts: list[str] = tokenizer.batch_decode(shown, skip_special_tokens=False, clean_up_tokenization_spaces=False)
    return texts


def begins_in_thought(tokenizer: Any, prompt: Prompt) -> bool:
    """Whether the chat template has opened a thought at the prompt's end, so that the answer begins within it."""
    return opens_thought(tokenizer.decode(prompt.ids[-TAIL_TOKENS:], skip_special_tokens=False))
