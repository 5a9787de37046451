"""DARE with TIES' sign election: drop differences to the base at random and scale up the rest.

Yu et al., "Language models are super Mario: absorbing abilities from homologous models as a free lunch",
arXiv 2311.03099. `density` is the share kept (1 minus the paper's drop rate p); `seed` draws the masks. mergekit scales
what is left back to the L1 norm of the whole, where the paper divides by 1 - p: the same in expectation.
"""

from typing import TYPE_CHECKING, Any

from components.merge.methods.method import Method, ingredients, need_base

if TYPE_CHECKING:
    from components.merge.settings import MergeSettings


def _configure(settings: "MergeSettings") -> dict[str, Any]:
    return {
        "merge_method": "dare_ties",
        "base_model": settings.base,
        "models": ingredients(settings, "weight", "density"),
        "parameters": {"normalize": settings.normalize},
    }


METHOD = Method("dare_ties", "arXiv 2311.03099", need_base, _configure)
