"""Perplexity of each response, given its conversation, under a local model: exp of minus the mean log-probability."""

import math
from typing import Literal

from pydantic import Field

from components.rewards.measured import rounded
from components.rewards.scorers.likelihood import ModelScorer

MOST = 1e9
"""Upper bound of a perplexity: larger values carry no more information and would overflow."""


class ModelPerplexity(ModelScorer):
    """The first of the paper's three scores (arXiv 2411.02939, section 3); lower is better."""

    scorer: Literal["model"] = Field("model", description="perplexity under the model")

    def value(self, measured: float | None) -> float | None:
        return None if measured is None else rounded(math.exp(min(-measured, math.log(MOST))))
