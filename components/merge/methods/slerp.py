"""SLERP: the point at share t of the great circle between two models' weights, tensor by tensor.

Shoemake, "Animating rotation with quaternion curves", SIGGRAPH 1985, doi 10.1145/325165.325242:
theta = (sin((1 - t) w) theta_0 + sin(t w) theta_1) / sin(w) with w the angle between them; linear when nearly parallel.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from components.merge.methods.method import Combine, MergeMethod
from components.merge.methods.options import MergeOptions

if TYPE_CHECKING:
    import torch

    from components.merge.stream.source_files import SlicedTensor, Slices

CHUNK_ELEMENTS = 1 << 20
"""mergekit adds up norms and products chunk by chunk; other chunks would round differently."""

SHORTEST_NORM = 1e-8
PARALLEL = 0.9995
"""mergekit's: vectors with this cosine or more are interpolated linearly."""


def _check(options: MergeOptions) -> None:
    if len(options.used) != 2:
        raise ValueError(f"merge method slerp takes two models (with the base); given: {', '.join(options.used)}")


def _configure(options: MergeOptions) -> dict[str, Any]:
    return {
        "merge_method": "slerp",
        "base_model": options.donor,
        "models": [{"model": name} for name in options.used],
        "parameters": {"t": options.t},
    }


def _prepare(options: MergeOptions, tensor: "SlicedTensor") -> Combine:
    import torch

    first, second = options.used
    share, other = _shares(options.t, _cosine(tensor, first, second))
    # Memory that is used again for every slice: fresh memory would cost more than the arithmetic.
    merged, addend = torch.empty(2, tensor.longest_slice).unbind()

    def combine(slices: "Slices") -> "torch.Tensor":
        elements = slices[first].numel()
        result = torch.mul(slices[first], share, out=merged[:elements])
        return result.add_(torch.mul(slices[second], other, out=addend[:elements]))

    return combine


def _shares(t: float, cosine: "torch.Tensor") -> "tuple[torch.Tensor, torch.Tensor]":
    """What both models are multiplied with, shape (1,) each."""
    import torch

    at = torch.tensor([t], dtype=torch.float32)
    if cosine.abs() > PARALLEL:
        return 1 - at, at
    angle = torch.acos(cosine)
    return torch.sin((1 - at) * angle) / torch.sin(angle), torch.sin(at * angle) / torch.sin(angle)


def _cosine(tensor: "SlicedTensor", first: str, second: str) -> "torch.Tensor":
    """Of the angle between a tensor's values in two models, shape (1,)."""
    import torch

    pair = (first, second)
    # Numbers, not tensors: small tensors that stay would keep the allocator from using the chunks' memory again.
    parts = [[_number(torch.linalg.vector_norm(chunk, dim=1)) for chunk in both] for both in _chunks(tensor, pair)]
    norms = [torch.linalg.vector_norm(torch.tensor(column)[:, None], dim=0) for column in zip(*parts, strict=True)]
    one, other = (torch.where(norm > SHORTEST_NORM, norm, 1) for norm in norms)
    space = torch.empty(2, min(tensor.elements, CHUNK_ELEMENTS))
    products = [
        _number(_products(ours, one, theirs, other, space).sum(dim=1)) for ours, theirs in _chunks(tensor, pair)
    ]
    return torch.tensor(products)[:, None].sum(dim=0).clamp(-1, 1)


def _products(
    ours: "torch.Tensor", one: "torch.Tensor", theirs: "torch.Tensor", other: "torch.Tensor", space: "torch.Tensor"
) -> "torch.Tensor":
    """Of both models' values, divided by their norms: shape (1, elements), in pieces that a core's cache holds."""
    import torch

    elements = ours.shape[1]
    result, divided = (part[None, :elements] for part in space)
    from components.merge.stream.source_files import SLICE_ELEMENTS

    for start in range(0, elements, SLICE_ELEMENTS):
        piece = slice(start, start + SLICE_ELEMENTS)
        torch.div(ours[:, piece], one, out=result[:, piece])
        result[:, piece].mul_(torch.div(theirs[:, piece], other, out=divided[:, piece]))
    return result


def _number(value: "torch.Tensor") -> float:
    """A tensor of one float32, which a Python number holds exactly."""
    return float(value)


def _chunks(tensor: "SlicedTensor", pair: tuple[str, str]) -> "Iterator[tuple[torch.Tensor, torch.Tensor]]":
    """The values in both models, shape (1, elements) each."""
    import torch

    for slices in tensor.chunks(pair):
        ours, theirs = (torch.split(slices[name], CHUNK_ELEMENTS) for name in pair)
        for our, their in zip(ours, theirs, strict=True):
            yield our[None], their[None]


METHOD = MergeMethod("slerp", _configure, _prepare, check=_check)
