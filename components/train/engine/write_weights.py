"""Writes a trained model's weights: the start's files, with the trained tensors instead of the old ones."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from components.models.stored.stored_model import INDEX, SINGLE, StoredModel, read_tensors, shown
from components.shared.errors import ModelError

if TYPE_CHECKING:
    import torch


def write_weights(trained: "Mapping[str, torch.Tensor]", stored: StoredModel, start: Path, target: Path) -> None:
    """Write the start's files again, one after the other, with the trained tensors in them.

    What was not trained (buffers, frozen weights, towers that were not loaded) is copied byte for byte, in its type.

    Args:
        trained: by stored name.
        stored: what the start's files hold.
        start: the start's folder.
        target: the folder to write into.

    Raises:
        ModelError: the files that were written differ from the start's in names or shapes.
    """
    from safetensors import safe_open
    from safetensors.torch import save_file

    target.mkdir(parents=True, exist_ok=True)
    size = 0
    for file in stored.files:
        names = [name for name, tensor in stored.tensors.items() if tensor.file == file]
        with safe_open(start / file, framework="pt") as source:
            tensors = {name: trained[name] if name in trained else source.get_tensor(name) for name in names}
        tensors = _apart(tensors)
        save_file(tensors, target / file, metadata={"format": "pt"})
        size += sum(tensor.nbytes for tensor in tensors.values())
    if stored.files != (SINGLE,):
        _write_index(stored, size, target)
    require_same_tensors(stored, target)


def _apart(tensors: "dict[str, torch.Tensor]") -> "dict[str, torch.Tensor]":
    """The same tensors, each with memory of its own: tied weights, and parts of joined ones, share theirs."""
    known: set[int] = set()
    result = {}
    for name, tensor in tensors.items():
        place = tensor.untyped_storage().data_ptr()
        result[name] = tensor.contiguous().clone() if place in known else tensor.contiguous()
        known.add(place)
    return result


def _write_index(stored: StoredModel, size: int, target: Path) -> None:
    places = {name: tensor.file for name, tensor in sorted(stored.tensors.items())}
    index = {"metadata": {"total_size": size}, "weight_map": places}
    (target / INDEX).write_text(json.dumps(index, indent=2) + "\n")


def require_same_tensors(stored: StoredModel, folder: Path) -> None:
    """Compare the tensors of a folder with the start's, by name and shape. Raises ModelError."""
    ours = {name: tensor.shape for name, tensor in read_tensors(folder).items()}
    theirs = {name: tensor.shape for name, tensor in stored.tensors.items()}
    different = sorted(name for name in ours.keys() | theirs.keys() if ours.get(name) != theirs.get(name))
    if different:
        raise ModelError(
            f"the trained model differs from {stored.reference!r} in {len(different)} tensors: {shown(different)}",
            rule="a trained model has the tensors of the model that it started from, by name and shape",
            remedy="keep the checkpoints and report this as a bug: the model cannot be saved completely",
        )
