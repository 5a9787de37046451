"""Output layers that are stored although they are tied to the embeddings."""

from pathlib import Path

from components.models.stored.check_stored import HEADS, embedding_names
from components.models.stored.stored_model import StoredModel, shown
from components.shared.errors import ModelError

PIECE = 1 << 20


def repeated_heads(folder: Path, stored: StoredModel) -> frozenset[str]:
    """Names of heads that are equal to the embeddings; only these weights are read, piece by piece."""
    inputs = embedding_names(stored)
    return frozenset(
        name for name in stored_heads(stored) if any(_equal(folder, stored, name, matrix) for matrix in inputs)
    )


def stored_heads(stored: StoredModel) -> list[str]:
    """Names of the output layers in a model's files."""
    return [name for name in stored.tensors if HEADS.search(name)]


def require_repeated_heads(folder: Path, stored: StoredModel) -> None:
    """Refuse a head that differs from the embeddings where config.json says that it is tied.

    transformers loads such a head separately, but under ZeRO-3, where each process holds parts, it does not notice the
    difference and drops the head silently.

    Raises:
        ModelError: there is such a head.
    """
    repeated = repeated_heads(folder, stored)
    if own := [name for name in stored_heads(stored) if name not in repeated]:
        raise ModelError(
            f"config.json of {stored.reference!r} has tie_word_embeddings, but its files hold another {shown(own)}",
            rule="a tied output layer equals the embeddings",
            remedy="set tie_word_embeddings to false in config.json, or remove the output layer from the files",
        )


def _equal(folder: Path, stored: StoredModel, name: str, other: str) -> bool:
    """Whether two tensors have one type, shape and content, byte for byte."""
    ours, theirs = stored.tensors[name], stored.tensors[other]
    if (ours.dtype, ours.shape) != (theirs.dtype, theirs.shape):
        return False
    with (folder / ours.file).open("rb") as our, (folder / theirs.file).open("rb") as their:
        our.seek(ours.offset)
        their.seek(theirs.offset)
        for start in range(0, ours.bytes, PIECE):
            count = min(PIECE, ours.bytes - start)
            if our.read(count) != their.read(count):
                return False
    return True
