"""The tokens of a model's tokenizer and the rows of its embeddings, from its files, without transformers."""

import re
from collections.abc import Mapping

from components.models.stored.check_stored import embedding_names, vocabulary_size
from components.models.stored.stored_model import StoredModel, shown
from components.shared.errors import ModelError
from components.shared.text.counted import counted

PLACEHOLDERS = re.compile(r"image|img|audio|video|vision|speech|soft_token", re.IGNORECASE)
"""Tokens for images or audio. Text models inherit them from their multimodal family, and text never contains them:
gemma-3-1b-it has one above the rows of its embeddings."""


def stored_tokens(model: StoredModel) -> dict[str, int]:
    """Ids by token, from tokenizer.json, or from vocab.json or vocab.txt; empty where all are missing.

    A model of SentencePiece alone is seen only when its tokenizer is loaded.
    """
    whole = model.json("tokenizer.json")
    part = whole.get("model", {}).get("vocab", {})
    entries = enumerate(entry[0] for entry in part) if isinstance(part, list) else ((id_, t) for t, id_ in part.items())
    tokens = {str(token): int(id_) for id_, token in entries}
    tokens |= {str(entry["content"]): int(entry["id"]) for entry in whole.get("added_tokens", ())}
    if not whole:
        tokens |= {token: id_ for token, id_ in model.json("vocab.json").items() if isinstance(id_, int)}
        tokens |= {token: id_ for id_, token in enumerate(model.lines("vocab.txt"))}
    # Tokens that were added later may be only in one of these.
    later = model.json("tokenizer_config.json").get("added_tokens_decoder", {})
    tokens |= {str(entry["content"]): int(id_) for id_, entry in later.items() if isinstance(entry, dict)}
    tokens |= {token: id_ for token, id_ in model.json("added_tokens.json").items() if isinstance(id_, int)}
    return tokens


def embedding_rows(model: StoredModel) -> int | None:
    """How many tokens have an embedding, by the headers of the weights or by config.json."""
    rows = [model.tensors[name].shape[0] for name in embedding_names(model)]
    return min(rows) if rows else vocabulary_size(model.text_config)


def require_embeddings(reference: str, tokens: Mapping[str, int], rows: int | None) -> None:
    """Refuse a tokenizer with ids for which the model lacks an embedding. Raises ModelError.

    Args:
        reference: how a person names the model.
        tokens: ids by token.
        rows: of the embeddings; None where they are not known.
    """
    beyond = {token: id_ for token, id_ in tokens.items() if rows is not None and id_ >= rows}
    wrong = [f"{token!r} (id {id_})" for token, id_ in sorted(beyond.items(), key=lambda item: item[1])]
    if rows is None or all(map(PLACEHOLDERS.search, beyond)):
        return
    raise ModelError(
        f"the tokenizer of {reference!r} has {counted(len(wrong), 'token')} above the {rows} rows of its embeddings: "
        f"{shown(wrong)}",
        rule="every token has a row in the model's embeddings",
        remedy="use the tokenizer that belongs to these weights, or give the new tokens rows first: transformers' "
        "resize_token_embeddings(len(tokenizer)), then save_pretrained",
    )
