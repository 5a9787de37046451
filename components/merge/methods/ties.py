"""TIES: trim each model's difference to the base, elect a sign for each weight, and average those that agree.

Yadav et al., "TIES-Merging: Resolving interference when merging models", arXiv 2306.01708. `density` is the share of
the largest differences that is kept. Among differences that are equal to the smallest kept one, the first are kept;
mergekit's sort is not stable, so which of them it keeps is arbitrary.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from components.merge.methods.method import Combine, MergeMethod, ingredients
from components.merge.methods.options import MergeOptions
from components.merge.stream.largest_magnitudes import LargestMagnitudes, find_largest

if TYPE_CHECKING:
    import torch

    from components.merge.stream.source_files import SlicedTensor, Slices


def _configure(options: MergeOptions) -> dict[str, Any]:
    return {
        "merge_method": "ties",
        "base_model": options.base,
        "models": ingredients(options, "weight", "density"),
        "parameters": {"normalize": options.normalize},
    }


def _prepare(options: MergeOptions, tensor: "SlicedTensor") -> Combine:
    import torch

    largest = _largest(options, tensor)
    tuned = [model for model in options.models if model.name != options.base]
    weights = torch.tensor([[model.weight] for model in tuned], dtype=torch.float32)

    def combine(slices: "Slices") -> "torch.Tensor":
        base = slices[options.base]
        deltas = torch.empty(len(tuned), len(base))
        for delta, model in zip(deltas, tuned, strict=True):
            torch.sub(slices[model.name], base, out=delta)
            if model.name in largest:
                delta.mul_(largest[model.name].mask(delta).to(torch.float32))
        return base + _elected_mean(deltas.mul_(weights), weights, options.normalize)

    return combine


def _elected_mean(deltas: "torch.Tensor", weights: "torch.Tensor", normalize: bool) -> "torch.Tensor":
    """The mean, or the sum, of the weighted differences that have the sign of their sum.

    Args:
        deltas: shape (models, elements).
        weights: shape (models, 1).
        normalize: divide by the weights of those that agree.
    """
    import torch

    elected = (deltas.sum(dim=0) >= 0).to(torch.float32).mul_(2).sub_(1)
    agree = (deltas * elected > 0).to(torch.float32)
    total = deltas.mul_(agree).sum(dim=0)
    if not normalize:
        return total
    divisor = (weights * agree).sum(dim=0)
    return total.div_(divisor.add_(divisor == 0))


def _largest(options: MergeOptions, tensor: "SlicedTensor") -> dict[str, LargestMagnitudes]:
    """Which differences are kept, by the model; models that keep all are left out."""
    import torch

    wanted = {
        model.name: max(1, int(model.density * tensor.elements))
        for model in options.models
        if model.name != options.base and model.density < 1
    }

    def deltas() -> "Iterator[dict[str, torch.Tensor]]":
        for chunk in tensor.chunks([options.base, *wanted]):
            # In pieces that a core's cache holds.
            pieces = {name: torch.split(values, tensor.longest_slice) for name, values in chunk.items()}
            for number, base in enumerate(pieces[options.base]):
                yield {name: pieces[name][number] - base for name in wanted}

    return find_largest(deltas, wanted) if wanted else {}


METHOD = MergeMethod("ties", _configure, _prepare, needs_base=True)
