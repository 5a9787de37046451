"""The token cap: from the student's own correct answers, or the fallback."""

import pytest

from components.bridge.settings import TokenCap
from components.bridge.token_cap import percentile, token_cap
from components.shared.rollout_rows import Probed, Rollout


def probed(*rollouts: Rollout) -> Probed:
    facts = {"id": "a", "source": "s", "line": 1, "instruction": "?", "type": "t", "primary": "p", "secondary": "s"}
    counts = {"tries": 1, "successes": 1, "lengths": (), "truncated": 0, "low": 0.0, "high": 1.0, "decided": True}
    return Probed.model_validate({**facts, **counts, "rollouts": rollouts})


def test_the_cap_is_the_percentile_of_correct_answers_alone() -> None:
    right = [Rollout(text="5", tokens_out=length, passed=True) for length in range(1, 101)]
    others = [
        Rollout(text="6", tokens_out=900, passed=False),
        Rollout(text="?", tokens_out=900, passed=None),
        Rollout(text="5", tokens_out=900, passed=True, finish="length"),
    ]
    cap = token_cap([probed(*right[:50], *others), probed(*right[50:])], TokenCap())
    assert (cap.tokens, cap.rollouts, cap.is_own) == (90, 100, True)


def test_too_few_correct_answers_give_the_fallback() -> None:
    few = [Rollout(text="5", tokens_out=7, passed=True)] * 3
    assert token_cap([probed(*few)], TokenCap(from_rollouts=3)).tokens == 7
    cap = token_cap([probed(*few)], TokenCap(from_rollouts=4, fallback_tokens=99))
    assert (cap.tokens, cap.rollouts, cap.is_own) == (99, 3, False)


@pytest.mark.parametrize(("share", "value"), [(0.01, 3), (0.5, 5), (0.51, 7), (0.9, 11), (1.0, 11)])
def test_the_percentile_is_by_nearest_rank(share: float, value: int) -> None:
    assert percentile([3, 5, 7, 11], share) == value
