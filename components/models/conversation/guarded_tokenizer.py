"""A tokenizer to which no text spells a control token: each is renamed to a private-use character."""

import json
from typing import Any

from components.models.conversation.control_tokens import ControlTokens
from components.shared.errors import ModelError

FIRST_ALIAS = 0x108000


class GuardedTokenizer:
    """A copy of a fast tokenizer, with its control tokens renamed.

    Text that spells a control token is tokenized as text, in context, in the same pass as the rest. (The tokenizers
    library can encode special tokens as text too, `encode_special_tokens`, but only all of them at once.)

    Args:
        tokenizer: a fast tokenizer.
        controls: its control tokens.

    Raises:
        ModelError: the copy has other ids.
    """

    def __init__(self, tokenizer: Any, controls: ControlTokens) -> None:
        from tokenizers import Tokenizer

        self.aliases = {token: chr(FIRST_ALIAS + number) for number, token in enumerate(controls.ids)}
        self._pattern = controls.pattern
        described = json.loads(tokenizer.backend_tokenizer.to_str())
        self._backend = Tokenizer.from_str(json.dumps(_renamed(described, self.aliases), ensure_ascii=False))
        known = {
            self.aliases.get(token.content, token.content): number
            for number, token in tokenizer.added_tokens_decoder.items()
        }
        if any(self._backend.token_to_id(token) != number for token, number in known.items()):
            raise ModelError(
                f"the tokenizer at {tokenizer.name_or_path!r} gives its added tokens other ids when it is copied",
                rule="text that spells a control token is encoded by a copy in which the token has another name",
                remedy="remove rows whose text spells control tokens, or use another tokenizer",
            )

    def rename(self, text: str) -> str:
        """A template's text, its rows' own text hidden, with control tokens replaced by their aliases."""
        return self._pattern.sub(lambda found: self.aliases[found[0]], text)

    def encode(self, text: str) -> tuple[list[int], list[tuple[int, int]]]:
        """Ids and offsets of a text with renamed control tokens."""
        encoding = self._backend.encode(text, add_special_tokens=False)
        return encoding.ids, encoding.offsets


def _renamed(described: dict[str, Any], aliases: dict[str, str]) -> dict[str, Any]:
    """The description of a tokenizer (tokenizer.json) with tokens renamed, and nothing added to what it encodes."""
    for token in described["added_tokens"]:
        if token["content"] in aliases:
            token |= {"content": aliases[token["content"]], "normalized": False}
    model = described["model"]
    vocabulary = model.get("vocab")
    # A token in the model's vocabulary keeps its id under its new name, and merges cannot produce it from text.
    if isinstance(vocabulary, dict):
        model["vocab"] = {aliases.get(token, token): number for token, number in vocabulary.items()}
    elif isinstance(vocabulary, list):
        model["vocab"] = [[aliases.get(token, token), score] for token, score in vocabulary]
    if "merges" in model:
        model["merges"] = [merge for merge in model["merges"] if not _makes(merge, aliases)]
    if model.get("unk_token") in aliases:
        model["unk_token"] = aliases[model["unk_token"]]
    return described | {"truncation": None, "padding": None, "post_processor": None}


def _makes(merge: str | list[str], aliases: dict[str, str]) -> bool:
    """Whether a merge produces or needs a renamed token."""
    left, right = merge.split(" ", 1) if isinstance(merge, str) else merge
    return bool({left, right, left + right} & aliases.keys())
