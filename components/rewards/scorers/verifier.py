"""Quality as the result of the instruction's check: 1 right, 0 wrong, the score of a graded check; none without one."""

from collections.abc import Mapping
from typing import Literal

from pydantic import Field

from components.rewards.scorers.scorer import Scorer
from components.shared.outputs.manifest import Parent

CHECKS = "checks"
"""The measurement of `checks/check_answers.py`, which select always makes."""


class Verifier(Scorer):
    """Relies on the check alone; for data in which every row has one."""

    scorer: Literal["verifier"] = Field(
        "verifier", description="1 when the answer's check passes, 0 when it fails; chrf: the score"
    )

    def measurement(self, parents: Mapping[str, Parent]) -> str:
        return CHECKS
