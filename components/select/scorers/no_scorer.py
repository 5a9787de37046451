"""No score: the formula does without it."""

from collections.abc import Mapping
from typing import Literal

from pydantic import Field

from components.select.scorers.scorer import Scorer
from components.shared.manifest import Parent


class NoScorer(Scorer):
    """The score is left out."""

    scorer: Literal["none"] = Field("none", description="leave this score out")

    def measurement(self, parents: Mapping[str, Parent]) -> str:
        return ""
