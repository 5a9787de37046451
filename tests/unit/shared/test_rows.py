"""Rows of shards: what they refuse."""

import pytest
from pydantic import ValidationError

from components.rewards.measured import Measured
from components.shared.rows import Score, Scores


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_score_that_is_not_finite_is_no_row(value: float) -> None:
    """JSON would hold null for it, which is read as a scorer that does not apply."""
    with pytest.raises(ValidationError, match="finite number"):
        Scores(perplexity=value)
    with pytest.raises(ValidationError, match="finite number"):
        Measured(id="demo/0", values=(0.5, value))
    with pytest.raises(ValidationError, match="finite number"):
        Score(benchmark="quiz", metric="exact_match", value=value, standard_error=0.1, count=3)
