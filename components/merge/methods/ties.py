"""TIES: trim each model's difference to the base, elect a sign for each weight, and average those that agree.

Yadav et al., "TIES-Merging: Resolving interference when merging models", arXiv 2306.01708. `density` is the share of
the largest differences that is kept. Among differences that are equal to the smallest kept one, the first are kept;
mergekit's sort is not stable, so which of them it keeps is arbitrary.
"""

from typing import TYPE_CHECKING, Any

from components.merge.methods.method import Combine, MergeMethod, ingredients
from components.merge.methods.options import MergeOptions

if TYPE_CHECKING:
    import torch

    from components.merge.stream.largest_magnitudes import Deltas, LargestMagnitudes
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
    space = _Space(len(tuned), tensor.longest_slice)

    def combine(slices: "Slices") -> "torch.Tensor":
        base = slices[options.base]
        deltas = space.deltas[:, : base.numel()]
        for delta, model in zip(deltas, tuned, strict=True):
            torch.sub(slices[model.name], base, out=delta)
            if model.name in largest:
                largest[model.name].keep_in(delta)
            if model.weight != 1:
                delta.mul_(model.weight)
        return _elected_mean(deltas, weights, options.normalize, space).add_(base)

    return combine


class _Space:
    """Memory that is used again for every slice: fresh memory would cost more than the arithmetic."""

    def __init__(self, models: int, elements: int) -> None:
        import torch

        self.deltas, self.agree = torch.empty(2, models, elements).unbind()
        self.total, self.sign, self.divisor = torch.empty(3, elements).unbind()


def _elected_mean(deltas: "torch.Tensor", weights: "torch.Tensor", normalize: bool, space: _Space) -> "torch.Tensor":
    """The mean, or the sum, of the weighted differences that have the sign of their sum.

    Args:
        deltas: shape (models, elements); changed.
        weights: shape (models, 1).
        normalize: divide by the weights of those that agree.
        space: where it is computed.
    """
    import torch

    elements = deltas.shape[1]
    total, sign, divisor = (part[:elements] for part in (space.total, space.sign, space.divisor))
    torch.sum(deltas, dim=0, out=total)
    torch.ge(total, 0, out=sign).mul_(2).sub_(1)
    # Those that agree are now positive. Turning all signs turns that of the sum, and changes no rounding.
    deltas.mul_(sign)
    if normalize:
        agree = torch.gt(deltas, 0, out=space.agree[:, :elements])
        torch.sum(agree.mul_(weights) if (weights != 1).any() else agree, dim=0, out=divisor)
    torch.sum(deltas.clamp_min_(0), dim=0, out=total)
    total.mul_(sign)
    if not normalize:
        return total
    # Where none agrees, 0 / 1.
    return total.div_(divisor.add_(torch.eq(divisor, 0, out=sign)))


def _largest(options: MergeOptions, tensor: "SlicedTensor") -> "dict[str, LargestMagnitudes]":
    """Which differences are kept, by the model; models that keep all are left out."""
    import torch

    from components.merge.stream.largest_magnitudes import find_largest

    wanted = {
        model.name: max(1, int(model.density * tensor.elements))
        for model in options.models
        if model.name != options.base and model.density < 1
    }
    if not wanted:
        return {}
    space = torch.empty(tensor.elements if tensor.is_one_chunk else tensor.longest_slice)
    if tensor.is_one_chunk:
        return {name: _largest_in_memory(tensor, options.base, name, wanted[name], space) for name in wanted}

    def deltas() -> "Deltas":
        for chunk in tensor.chunks([options.base, *wanted]):
            # In pieces that a core's cache holds.
            pieces = {name: torch.split(values, tensor.longest_slice) for name, values in chunk.items()}
            for number, base in enumerate(pieces[options.base]):
                for name in wanted:
                    yield name, torch.sub(pieces[name][number], base, out=space[: base.numel()])

    return find_largest(deltas, wanted)


def _largest_in_memory(
    tensor: "SlicedTensor", base: str, model: str, wanted: int, space: "torch.Tensor"
) -> "LargestMagnitudes":
    import torch

    from components.merge.stream.largest_magnitudes import PIECE, largest_of

    (chunk,) = tensor.chunks([base, model])
    pieces = (torch.split(values, PIECE) for values in (chunk[model], chunk[base], space))
    for ours, theirs, magnitudes in zip(*pieces, strict=True):
        torch.sub(ours, theirs, out=magnitudes).abs_()
    return largest_of(space.numpy(), wanted)


METHOD = MergeMethod("ties", _configure, _prepare, needs_base=True)
