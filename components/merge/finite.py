"""Refuses merged weights that are not finite: float16 ends at 65,504, and torch makes inf of what is above."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from components.merge.source import FLOATS
from components.models.stored.stored_model import read_tensors
from components.shared.errors import ModelError

if TYPE_CHECKING:
    import torch


def require_finite(
    name: str, merged: "torch.Tensor", dtype: "torch.dtype", sources: Mapping[str, "torch.Tensor"] | None = None
) -> None:
    """Check a slice of a merged tensor.

    Args:
        name: the tensor's.
        merged: its values.
        dtype: the type in which they are written.
        sources: the values that were merged, by the models' names, if they are at hand.

    Raises:
        ModelError: a value is not finite in that type; it names the tensor, and the model that caused it.
    """
    import torch

    # Both ends are NaN if any value is. To look at the ends alone costs a tenth of a test of each value.
    low, high = (float(end) for end in torch.aminmax(merged))
    if low > -_end(dtype) and high < _end(dtype):
        return
    for model, values in (sources or {}).items():
        if not values.isfinite().all():
            raise ModelError(
                f"{name} of {model!r} has values that are not finite in float32",
                rule="only finite weights are merged",
                remedy="repair that model, or merge without it",
            )
    written = str(dtype).removeprefix("torch.")
    raise ModelError(
        f"the merged {name} has values from {low:g} to {high:g}, which {written} cannot hold",
        rule=f"weights that are written in {written} are finite and at most {torch.finfo(dtype).max:g}",
        remedy="set the merge's dtype to bfloat16 or float32; if that fails too, a model that it reads has them",
    )


def _end(dtype: "torch.dtype") -> float:
    """What rounds to inf in a type: half a step above its largest number, 65,520 in float16."""
    import torch

    facts = torch.finfo(dtype)
    return facts.max * (2 - facts.eps / 2) / (2 - facts.eps)


def require_finite_files(folder: Path) -> None:
    """Check the written weights of a merged model, one tensor at a time. Raises ModelError."""
    from safetensors import safe_open

    for name, stored in read_tensors(folder).items():
        if stored.dtype in FLOATS and stored.elements:
            with safe_open(folder / stored.file, framework="pt") as weights:
                values = weights.get_tensor(name)
            require_finite(name, values, values.dtype)
