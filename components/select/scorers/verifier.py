"""Quality as the verdict of the answer's own check: 1 right, 0 wrong, no score where there is no check."""

from collections.abc import Mapping
from typing import Literal

from pydantic import Field

from components.select.scorers.scorer import Scorer
from components.shared.manifest import Parent

CHECKS = "checks"
"""The measurement of `checks/check_answers.py`, which is made in any case."""


class Verifier(Scorer):
    """Trusts the check alone; suits data in which every row has one."""

    scorer: Literal["verifier"] = Field("verifier", description="1 when the answer's check passes, 0 when it fails")

    def measurement(self, parents: Mapping[str, Parent]) -> str:
        return CHECKS
