"""Output layers that are stored although they are tied to the embeddings."""

from pathlib import Path
from typing import Any

from components.models.check_stored import HEADS, embedding_names
from components.models.stored_model import StoredModel, shown
from components.shared.errors import ModelError


def repeated_heads(folder: Path, stored: StoredModel) -> frozenset[str]:
    """Names of heads that hold the embeddings' numbers; no weight but these is read."""
    import torch

    heads = stored_heads(stored)
    inputs = [_tensor(folder, stored, name) for name in embedding_names(stored)] if heads else []
    return frozenset(
        name for name in heads if any(torch.equal(_tensor(folder, stored, name), matrix) for matrix in inputs)
    )


def stored_heads(stored: StoredModel) -> list[str]:
    """Names of the output layers in a model's files."""
    return [name for name in stored.tensors if HEADS.search(name)]


def require_repeated_heads(folder: Path, stored: StoredModel) -> None:
    """Refuse a head with numbers of its own where config.json says that it is tied.

    transformers keeps such a head apart, but cannot tell under ZeRO-3, where each process holds parts: it would drop
    the head without a word.

    Raises:
        ModelError: there is such a head.
    """
    repeated = repeated_heads(folder, stored)
    if own := [name for name in stored_heads(stored) if name not in repeated]:
        raise ModelError(
            f"config.json of {stored.reference!r} has tie_word_embeddings, and its files hold another {shown(own)}",
            rule="a tied output layer has the numbers of the embeddings",
            remedy="set tie_word_embeddings to false in config.json, or take the output layer out of the files",
        )


def _tensor(folder: Path, stored: StoredModel, name: str) -> Any:
    from safetensors import safe_open

    with safe_open(folder / stored.tensors[name].file, framework="pt") as file:
        return file.get_tensor(name)
