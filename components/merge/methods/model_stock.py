"""Model Stock: between the base and the mean of models fine-tuned from it, at a ratio set by the angle between them.

Jang et al., "Model Stock: All we need is just a few fine-tuned models", arXiv 2403.19522:
theta = r mean(theta_i) + (1 - r) theta_0 with r = k cos(a) / (1 + (k - 1) cos(a)) for k models, tensor by tensor.
"""

from typing import Any

from components.merge.methods.method import MergeMethod, ingredients
from components.merge.methods.options import MergeOptions


def _check(options: MergeOptions) -> None:
    if len(options.others) < 2:
        raise ValueError("merge method model_stock needs at least two models besides the base: it measures their angle")


def _configure(options: MergeOptions) -> dict[str, Any]:
    return {"merge_method": "model_stock", "base_model": options.base, "models": ingredients(options)}


METHOD = MergeMethod("model_stock", _configure, needs_base=True, check=_check)
