"""Conversations and the answers to score, as token ids: one prompt with its branches."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from components.shared.errors import InputError
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
        """Positions whose logits are needed: the prompt's last one, and all completions."""
        return 1 + sum(map(len, self.completions))

    def __len__(self) -> int:
        return len(self.prompt) + self.tail - 1

    def apart(self) -> "list[Branches]":
        """The same with a prompt for each completion."""
        return [Branches(self.prompt, [completion]) for completion in self.completions]


class CompletionMaker:
    """Turns pairs into token ids for one model.

    Args:
        tokenizer: with a chat template.
        context: most tokens of a prompt and one completion together.
    """

    def __init__(self, tokenizer: Any, context: int) -> None:
        self.tokenizer, self.context = tokenizer, context

    def make(self, pairs: Sequence[Pair]) -> list[Branches]:
        """One with a single completion for each pair. Raises InputError when the chat template refuses one."""
        if not pairs:
            return []
        texts = [self._texts(messages, answer) for messages, answer in pairs]
        # The template writes the special tokens itself; a second one at the beginning would be wrong.
        prompts = self.tokenizer([prompt for prompt, _ in texts], add_special_tokens=False)["input_ids"]
        completions = self.tokenizer([completion for _, completion in texts], add_special_tokens=False)["input_ids"]
        return [self._cut(prompt, completion) for prompt, completion in zip(prompts, completions, strict=True)]

    def _texts(self, messages: Sequence[Message], answer: str) -> tuple[str, str]:
        """The prompt's text and the completion's, by the chat template."""
        from jinja2.exceptions import TemplateError

        turns = [message.model_dump() for message in messages]
        render = self.tokenizer.apply_chat_template
        try:
            prompt: str = render(turns, tokenize=False, add_generation_prompt=True)
            whole: str = render([*turns, {"role": "assistant", "content": answer}], tokenize=False)
        except TemplateError as error:
            raise InputError(
                f"the chat template refuses a conversation: {error}",
                rule="roles alternate as the model's template asks",
                remedy="use a model whose template takes these conversations",
            ) from error
        end: str = self.tokenizer.eos_token or ""
        # Some templates write something else for a past turn than for the one to be generated.
        completion = whole[len(prompt) :] if whole.startswith(prompt + answer) else answer + end
        # What follows the end of the turn (a line break in some templates) is not the model's to say.
        head, mark, _ = completion.rpartition(end) if end else (completion, "", "")
        return prompt, head + mark if mark else completion

    def _cut(self, prompt: list[int], completion: list[int]) -> Branches:
        completion = completion[: self.context - 1]
        return Branches(prompt[-(self.context - len(completion)) :], [completion])


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
