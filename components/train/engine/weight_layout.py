"""Maps a model's weights to the tensors of the files that it was loaded from.

transformers renames tensors when it loads them and joins some, such as a layer's experts. Trained weights are stored
again under the names and in the shapes of the start's files.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from components.models.stored.stored_model import StoredModel, shown
from components.shared.errors import ModelError
from components.shared.patch_libraries import used_conversions

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Layout:
    """Which stored tensor each weight of a loaded model is.

    Attributes:
        renamed: the model's name of a weight by its stored name, for all that are loaded one to one.
        joined: stored names of tensors that are loaded as parts of others.
        prefix: the name under which the class holds its base model; files of a base model lack it.
    """

    renamed: Mapping[str, str]
    joined: frozenset[str]
    prefix: str


def find_layout(model: Any, stored: StoredModel) -> Layout:
    """Follow transformers' own renaming of every stored tensor. `model` was loaded from `stored`."""
    from transformers.core_model_loading import WeightConverter, WeightRenaming, rename_source_key

    used = used_conversions(model)
    renamings = [entry for entry in used if isinstance(entry, WeightRenaming)]
    converters = [entry for entry in used if isinstance(entry, WeightConverter)]
    own, prefix = model.state_dict(), model.base_model_prefix
    renamed, joined = {}, set()
    for name in stored.tensors:
        target, pattern = rename_source_key(name, renamings, converters, prefix, own)
        if target not in own and name in own:
            target, pattern = name, None
        if target in own and pattern is None:
            renamed[name] = target
        elif target in own:
            joined.add(name)
    return Layout(renamed, frozenset(joined), prefix)


def as_stored(
    model: Any, weights: "Mapping[str, torch.Tensor]", stored: StoredModel, layout: Layout
) -> "dict[str, torch.Tensor]":
    """Weights by the names, and in the shapes, of the files that the model came from.

    Args:
        model: of the weights.
        weights: those that were trained, by their names in the model; tied ones under any of their names.
        stored: the files.
        layout: of the same model and files.

    Raises:
        ModelError: the files lack one of the weights, or hold it in another shape.
    """
    by_name = dict(model.named_parameters(remove_duplicate=False))
    # Tied weights are one parameter with several names, and any of them may be the stored one.
    known = {id(by_name[name]): name for name in weights}
    found, placed = {}, set()
    for name, own in layout.renamed.items():
        if own in by_name and (source := known.get(id(by_name[own]))):
            found[name] = weights[source]
            placed.add(source)
    left = {name: tensor for name, tensor in weights.items() if name not in placed}
    found |= _parted(model, left, layout)
    wrong = [
        f"{name} {list(tensor.shape)}"
        for name, tensor in found.items()
        if name not in stored.tensors or tuple(tensor.shape) != stored.tensors[name].shape
    ]
    if wrong:
        raise ModelError(
            f"the files of {stored.reference!r} lack {len(wrong)} trained weights: {shown(sorted(wrong))}",
            rule="a trained model has the tensors of the model that it started from, by name and shape",
            remedy="save the start again with this version of transformers (from_pretrained, save_pretrained)",
        )
    return found


def _parted(model: Any, weights: "dict[str, torch.Tensor]", layout: Layout) -> "dict[str, torch.Tensor]":
    """Joined weights, split into the parts that are stored."""
    from transformers.core_model_loading import revert_weight_conversion

    if not weights:
        return {}
    return {_stored_name(name, layout): part for name, part in revert_weight_conversion(model, weights).items()}


def _stored_name(name: str, layout: Layout) -> str:
    """The name as it is stored, with or without the base model's prefix."""
    bare = name.removeprefix(f"{layout.prefix}.")
    return next((one for one in (name, bare, f"{layout.prefix}.{bare}") if one in layout.joined), name)


def with_joined(model: Any, names: set[str], layout: Layout) -> set[str]:
    """The names, and, if one of them is stored in parts, all weights that are: parts are stored together."""
    alone = set(layout.renamed.values())
    together = {name for name, _ in model.named_parameters() if name not in alone}
    return names | together if names & together else names


def require_place(model: Any, stored: StoredModel) -> None:
    """Check before a training that its result can be saved: the files hold every weight. Raises ModelError."""
    import torch

    if stored.tensors:
        shapes = {name: getattr(weight, "ds_shape", weight.shape) for name, weight in model.named_parameters()}
        empty = {name: torch.empty(tuple(shape), device="meta") for name, shape in shapes.items()}
        as_stored(model, empty, stored, find_layout(model, stored))
