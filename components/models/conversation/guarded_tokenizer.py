"""A tokenizer in whose eyes no text spells a control token: each is known by a private-use character instead."""

import json
from typing import Any

from components.models.conversation.control_tokens import ControlTokens
from components.shared.errors import ModelError

FIRST_ALIAS = 0x108000


class GuardedTokenizer:
    """A copy of a fast tokenizer, with its control tokens renamed.

    Text that spells a control token is tokenized as text, in its context, in the one pass that tokenizes the rest. (The
    tokenizers library can leave special tokens alone too, `encode_special_tokens`, but only all of them at once.)

    Args:
        tokenizer: a fast one.
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
                rule="text that spells a control token is encoded by a copy that does not know the token by that name",
                remedy="take rows out whose text spells control tokens, or use another tokenizer",
            )

    def rename(self, text: str) -> str:
        """The text with its control tokens by their aliases: the text of a template, its rows' own being hidden."""
        return self._pattern.sub(lambda found: self.aliases[found[0]], text)

    def encode(self, text: str) -> tuple[list[int], list[tuple[int, int]]]:
        """Ids and offsets of a text that has its control tokens renamed."""
        encoding = self._backend.encode(text, add_special_tokens=False)
        return encoding.ids, encoding.offsets


def _renamed(described: dict[str, Any], aliases: dict[str, str]) -> dict[str, Any]:
    """The description of a tokenizer (tokenizer.json) with tokens renamed, and nothing added to what it encodes."""
    for token in described["added_tokens"]:
        if token["content"] in aliases:
            token |= {"content": aliases[token["content"]], "normalized": False}
    model = described["model"]
    vocabulary = model.get("vocab")
    # A token of the model's own vocabulary keeps its id by its new name, and text cannot become it by merges.
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
    """Whether a merge makes a renamed token, or needs one."""
    left, right = merge.split(" ", 1) if isinstance(merge, str) else merge
    return bool({left, right, left + right} & aliases.keys())
