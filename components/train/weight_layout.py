"""Under which names a model's weights are stored in the files that it came from.

transformers renames tensors when it loads them and joins some, such as a layer's experts. What is trained goes back
under the names and in the shapes of the start's files.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from components.models.stored_model import StoredModel, shown
from components.shared.errors import ModelError

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Layout:
    """Where a loaded model's weights are stored.

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

    # Under ZeRO-3 transformers keeps all conversions, and one that no tensor met cannot be reverted.
    used = [entry for entry in getattr(model, "_weight_conversions", None) or () if entry.was_used()]
    model._weight_conversions = used
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
        ModelError: the files have no place for one of the weights, or one of another shape.
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
            f"{len(wrong)} trained weights have no place in the files of {stored.reference!r}: {shown(sorted(wrong))}",
            rule="a trained model has the tensors of the model that it came from, by name and shape",
            remedy="save the start again with this version of transformers (from_pretrained, save_pretrained)",
        )
    return found


def _parted(model: Any, weights: "dict[str, torch.Tensor]", layout: Layout) -> "dict[str, torch.Tensor]":
    """Joined weights as the parts that are stored."""
    from transformers.core_model_loading import revert_weight_conversion

    if not weights:
        return {}
    return {_stored_name(name, layout): part for name, part in revert_weight_conversion(model, weights).items()}


def _stored_name(name: str, layout: Layout) -> str:
    """The name with or without the base model's prefix, as it is stored."""
    bare = name.removeprefix(f"{layout.prefix}.")
    return next((one for one in (name, bare, f"{layout.prefix}.{bare}") if one in layout.joined), name)


def with_joined(model: Any, names: set[str], layout: Layout) -> set[str]:
    """The names, with all weights that are stored in parts where one of them is: parts go back together."""
    alone = set(layout.renamed.values())
    together = {name for name, _ in model.named_parameters() if name not in alone}
    return names | together if names & together else names


def require_place(model: Any, stored: StoredModel) -> None:
    """See before a training whether its result can be saved: every weight has its place. Raises ModelError."""
    import torch

    if stored.tensors:
        shapes = {name: getattr(weight, "ds_shape", weight.shape) for name, weight in model.named_parameters()}
        empty = {name: torch.empty(tuple(shape), device="meta") for name, shape in shapes.items()}
        as_stored(model, empty, stored, find_layout(model, stored))
