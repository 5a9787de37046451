"""Texts as token ids: a conversation in one pass, parted where the answer begins."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from components.models.conversation.control_tokens import ControlTokens
from components.models.conversation.guarded_tokenizer import GuardedTokenizer

ANCHORS = ("\n", ".", "a", "0", "\u4e00")
"""Texts to put before a completion that must be tokenized by itself and yet not as the beginning of a text."""

Offsets = list[tuple[int, int]]


@dataclass(frozen=True)
class Text:
    """A text to tokenize; a `guarded` one has its control tokens renamed, since its rows' text spells some."""

    text: str
    guarded: bool = False

    def plus(self, more: str) -> "Text":
        """With more text behind it."""
        return Text(self.text + more, self.guarded)


@dataclass(frozen=True)
class Tokens:
    """Ids of a text and the characters that each stands for; no offsets by a tokenizer that does not give them."""

    ids: list[int]
    offsets: Offsets | None

    def parts_at(self, place: int, count: int) -> bool:
        """Whether the first `count` tokens are the text before `place`, and no token is on both sides of it."""
        if self.offsets is None:
            return True
        before, behind = self.offsets[:count], self.offsets[count:]
        return (
            max((end for _, end in before[-1:]), default=0)
            <= place
            <= min((start for start, _ in behind[:1]), default=place)
        )


class TextTokenizer:
    """Tokenizes what templates render: they write all special tokens themselves, so none is added."""

    def __init__(self, tokenizer: Any, controls: ControlTokens) -> None:
        self._tokenizer, self._controls = tokenizer, controls
        self.gives_offsets = bool(getattr(tokenizer, "is_fast", False))
        self._takes_space = {number for number, token in tokenizer.added_tokens_decoder.items() if token.rstrip}

    @cached_property
    def guard(self) -> GuardedTokenizer:
        """The tokenizer of guarded texts, made when the first one comes. Raises ModelError."""
        return GuardedTokenizer(self._tokenizer, self._controls)

    def tokenize(self, texts: Sequence[Text]) -> list[Tokens]:
        """Ids and offsets of each text, in their order."""
        plain = iter(self._plain([text.text for text in texts if not text.guarded]))
        return [Tokens(*self.guard.encode(text.text)) if text.guarded else next(plain) for text in texts]

    def part(self, prompt: Tokens, text: Text, place: int, whole: Tokens) -> list[int] | None:
        """The ids of what follows a prompt.

        They are those of the conversation tokenized as one, from `place` on, if these begin with the prompt's. Where a
        token is on both sides of the boundary (a prompt that ends in a space), or the answer changes the last tokens
        of the prompt, the boundary is kept nevertheless: generation sees the prompt's tokens, and goes on from them.

        Args:
            prompt: as it is tokenized for generation.
            text: prompt and completion.
            place: where the completion begins in it.
            whole: the text's tokens.

        Returns:
            The completion's ids; None where no way to keep the boundary is known.
        """
        count = len(prompt.ids)
        # Offsets that are trimmed do not show the white space that such a token (Phi-3's turns) takes from an answer.
        takes_space = text.text[place : place + 1].isspace() and not self._takes_space.isdisjoint(prompt.ids[-1:])
        if whole.ids[:count] == prompt.ids and whole.parts_at(place, count) and not takes_space:
            return whole.ids[count:]
        return self._anchored(Text(text.text[place:], text.guarded))

    def _anchored(self, completion: Text) -> list[int] | None:
        """The ids of a text as they are within a text, so that no space is put before it as before a beginning."""
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
