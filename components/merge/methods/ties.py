"""TIES: trim each model's difference to the base, elect a sign for each weight, and average those that agree.

Yadav et al., "TIES-Merging: Resolving interference when merging models", arXiv 2306.01708. `density` is the share of
the largest differences that is kept.
"""

from typing import TYPE_CHECKING, Any

from components.merge.methods.method import Method, ingredients, need_base

if TYPE_CHECKING:
    from components.merge.settings import MergeSettings


def _configure(settings: "MergeSettings") -> dict[str, Any]:
    return {
        "merge_method": "ties",
        "base_model": settings.base,
        "models": ingredients(settings, "weight", "density"),
        "parameters": {"normalize": settings.normalize},
    }


METHOD = Method("ties", "arXiv 2306.01708", need_base, _configure)
