"""DARE with TIES' sign election: drop differences to the base at random and scale up the rest.

Yu et al., "Language models are super Mario: absorbing abilities from homologous models as a free lunch",
arXiv 2311.03099. `density` is the share kept (1 minus the paper's drop rate p); `seed` draws the masks. mergekit scales
what is left back to the L1 norm of the whole, where the paper divides by 1 - p: the same in expectation.
"""

from typing import Any

from components.merge.methods.method import MergeMethod, ingredients
from components.merge.methods.options import MergeOptions


def _configure(options: MergeOptions) -> dict[str, Any]:
    return {
        "merge_method": "dare_ties",
        "base_model": options.base,
        "models": ingredients(options, "weight", "density"),
        "parameters": {"normalize": options.normalize},
    }


METHOD = MergeMethod("dare_ties", _configure, needs_base=True)
