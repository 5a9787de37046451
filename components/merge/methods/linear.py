"""Linear: the weighted mean of the models' weights.

Wortsman et al., "Model soups: averaging weights of multiple fine-tuned models improves accuracy without increasing
inference time", arXiv 2203.05482: theta = sum(w_i theta_i) / sum(w_i).
"""

from typing import TYPE_CHECKING, Any

from components.merge.methods.method import Method

if TYPE_CHECKING:
    from components.merge.settings import MergeSettings


def _check(settings: "MergeSettings") -> None:
    if len(settings.models) < 2:
        raise ValueError("merge method linear needs at least two models")
    if settings.base and settings.base not in [model.name for model in settings.models]:
        raise ValueError(
            f"merge method linear has no weight for base {settings.base!r}: name it in models, or leave it"
        )
    if settings.normalize and sum(model.weight for model in settings.models) == 0:
        raise ValueError("the weights sum to 0, by which linear divides; change them, or set normalize to false")


def _configure(settings: "MergeSettings") -> dict[str, Any]:
    return {
        "merge_method": "linear",
        # linear has no base; mergekit takes config and tokenizer from this one.
        "base_model": settings.donor,
        "models": [{"model": model.name, "parameters": {"weight": model.weight}} for model in settings.models],
        "parameters": {"normalize": settings.normalize},
    }


METHOD = Method("linear", "arXiv 2203.05482", _check, _configure)
