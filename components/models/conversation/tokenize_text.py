"""Texts as token ids: a conversation in one pass, split where the answer starts."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from components.models.conversation.control_tokens import ControlTokens
from components.models.conversation.guarded_tokenizer import GuardedTokenizer

ANCHORS = ("\n", ".", "a", "0", "\u4e00")
"""Prefixes for a completion that is tokenized by itself, but not as the start of a text."""

Offsets = list[tuple[int, int]]


@dataclass(frozen=True)
class Text:
    """A text to tokenize; a `guarded` one has renamed control tokens, because the row's text spells some."""

    text: str
    guarded: bool = False

    def plus(self, more: str) -> "Text":
        """The text followed by more text."""
        return Text(self.text + more, self.guarded)


@dataclass(frozen=True)
class Tokens:
    """Ids of a text, and the character range of each; `offsets` is None where the tokenizer does not return them."""

    ids: list[int]
    offsets: Offsets | None

    def parts_at(self, place: int, count: int) -> bool:
        """Whether the first `count` tokens are the text before `place`, and no token crosses it."""
        if self.offsets is None:
            return True
        before, behind = self.offsets[:count], self.offsets[count:]
        return (
            max((end for _, end in before[-1:]), default=0)
            <= place
            <= min((start for start, _ in behind[:1]), default=place)
        )


class TextTokenizer:
    """Tokenizes what templates render. They write all special tokens themselves, so none is added."""

    def __init__(self, tokenizer: Any, controls: ControlTokens) -> None:
        self._tokenizer, self._controls = tokenizer, controls
        self.gives_offsets = bool(getattr(tokenizer, "is_fast", False))
        self._takes_space = {number for number, token in tokenizer.added_tokens_decoder.items() if token.rstrip}

    @cached_property
    def guard(self) -> GuardedTokenizer:
        """The tokenizer of guarded texts, made on first use. Raises ModelError."""
        return GuardedTokenizer(self._tokenizer, self._controls)

    def tokenize(self, texts: Sequence[Text]) -> list[Tokens]:
        """Ids and offsets of each text, in order."""
        plain = iter(self._plain([text.text for text in texts if not text.guarded]))
        return [Tokens(*self.guard.encode(text.text)) if text.guarded else next(plain) for text in texts]

    def part(self, prompt: Tokens, text: Text, place: int, whole: Tokens) -> list[int] | None:
        """The ids of what follows a prompt.

        They are those of the conversation tokenized as one, from `place` on, if that starts with the prompt's. Where a
        token crosses the boundary (a prompt that ends in a space), or the answer changes the last tokens of the prompt,
        the text is split at the boundary nevertheless: generation sees the prompt's tokens, and continues them.

        Args:
            prompt: tokenized as for generation.
            text: prompt and completion.
            place: index of the character at which the completion starts.
            whole: the text's tokens.

        Returns:
            The completion's ids; None where the text cannot be split at the boundary.
        """
        count = len(prompt.ids)
        # Trimmed offsets don't show the white space that such a token (Phi-3's turns) takes from an answer.
        takes_space = text.text[place : place + 1].isspace() and not self._takes_space.isdisjoint(prompt.ids[-1:])
        if whole.ids[:count] == prompt.ids and whole.parts_at(place, count) and not takes_space:
            return whole.ids[count:]
        return self._anchored(Text(text.text[place:], text.guarded))

    def _anchored(self, completion: Text) -> list[int] | None:
        """The ids of a text in the middle of a text, so that no space is added as at the start of one."""
        for anchor in ANCHORS:
            lead = Text(anchor, completion.guarded)
            before, both = self.tokenize([lead, lead.plus(completion.text)])
            count = len(before.ids)
            if both.ids[:count] == before.ids and both.parts_at(len(anchor), count):
                return both.ids[count:]
        return None

    def _plain(self, texts: list[str]) -> list[Tokens]:
        if not texts:
            return []
        options = {"return_offsets_mapping": True} if self.gives_offsets else {}
        encoded = self._tokenizer(
            texts, add_special_tokens=False, return_attention_mask=False, split_special_tokens=False, **options
        )
        offsets = encoded["offset_mapping"] if self.gives_offsets else [None] * len(texts)
        return [Tokens(ids, places) for ids, places in zip(encoded["input_ids"], offsets, strict=True)]
