"""Model Stock: between the base and the mean of models fine-tuned from it, at a ratio set by the angle between them.

Jang et al., "Model Stock: All we need is just a few fine-tuned models", arXiv 2403.19522:
theta = r mean(theta_i) + (1 - r) theta_0 with r = k cos(a) / (1 + (k - 1) cos(a)) for k models, tensor by tensor.
"""

from typing import TYPE_CHECKING, Any

from components.merge.methods.method import Method, ingredients, need_base, others

if TYPE_CHECKING:
    from components.merge.settings import MergeSettings


def _check(settings: "MergeSettings") -> None:
    need_base(settings)
    if len(others(settings)) < 2:
        raise ValueError("merge method model_stock needs at least two models besides the base: it measures their angle")


def _configure(settings: "MergeSettings") -> dict[str, Any]:
    return {"merge_method": "model_stock", "base_model": settings.base, "models": ingredients(settings)}


METHOD = Method("model_stock", "arXiv 2403.19522", _check, _configure)
