"""Linear: the weighted mean of the models' weights.

Wortsman et al., "Model soups: averaging weights of multiple fine-tuned models improves accuracy without increasing
inference time", arXiv 2203.05482: theta = sum(w_i theta_i) / sum(w_i).
"""

from typing import TYPE_CHECKING, Any

from components.merge.methods.method import Combine, MergeMethod
from components.merge.methods.options import MergeOptions

if TYPE_CHECKING:
    import torch

    from components.merge.stream.source_files import SlicedTensor, Slices


def _check(options: MergeOptions) -> None:
    if len(options.models) < 2:
        raise ValueError("merge method linear needs at least two models")
    if options.base and options.base not in [model.name for model in options.models]:
        raise ValueError(f"merge method linear has no weight for base {options.base!r}: name it in models, or leave it")
    if options.normalize and sum(model.weight for model in options.models) == 0:
        raise ValueError("the weights sum to 0, by which linear divides; change them, or set normalize to false")


def _configure(options: MergeOptions) -> dict[str, Any]:
    return {
        "merge_method": "linear",
        # linear has no base; mergekit takes config and tokenizer from this one.
        "base_model": options.donor,
        "models": [{"model": model.name, "parameters": {"weight": model.weight}} for model in options.models],
        "parameters": {"normalize": options.normalize},
    }


def _prepare(options: MergeOptions, tensor: "SlicedTensor") -> Combine:
    import torch

    # With an axis: torch divides by a scalar in another way.
    weights = torch.tensor([[model.weight for model in options.models]], dtype=torch.float32)
    total = weights.sum(dim=1)
    divides = options.normalize and float(total) != 1.0
    parts = [(model.name, weight) for model, weight in zip(options.models, weights.unbind(1), strict=True)]
    zeros = torch.zeros(tensor.longest_slice)
    merged = torch.empty(tensor.longest_slice)

    def combine(slices: "Slices") -> "torch.Tensor":
        elements = slices[options.donor].numel()
        result, addend = merged[:elements], zeros[:elements]
        for name, weight in parts:
            addend = torch.addcmul(addend, slices[name], weight, out=result)
        return result.div_(total) if divides else result

    return combine


METHOD = MergeMethod("linear", _configure, _prepare, check=_check)
