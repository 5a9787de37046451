"""No score: the formula omits its term."""

from collections.abc import Mapping
from typing import Literal

from pydantic import Field

from components.rewards.scorers.scorer import Scorer
from components.shared.outputs.manifest import Parent


class NoScorer(Scorer):
    """Omits the score."""

    scorer: Literal["none"] = Field("none", description="omit this score")

    def measurement(self, parents: Mapping[str, Parent]) -> str:
        return ""
