"""Where each policy sends a problem, by all pass rates that can be seen in 8 and 16 tries."""

from collections import Counter
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from components.route.policies.policy import Policy, Way
from components.route.policies.registry import POLICIES, AnyPolicy
from components.route.route import parts_of
from components.route.settings import RouteSettings
from components.shared.rows import Labelled

READ: TypeAdapter[Policy] = TypeAdapter(AnyPolicy)


def row(number: int) -> Labelled:
    return Labelled(id=f"r{number}", source="s", line=number, instruction="?", type="t", primary="p", secondary="s")


def pools(policy: Policy, tries: int) -> str:
    """The first letter of the pool of each number of successes."""
    return "".join(policy.pool_at(successes / tries)[0] for successes in range(tries + 1))


@pytest.mark.parametrize(
    ("given", "of_8", "of_16"),
    [
        ({"policy": "paper"}, "hmmmmmmme", "hmmmmmmmmmmmmmmme"),
        ({"policy": "relift"}, "hmmmmmmme", "hmmmmmmmmmmmmmmme"),
        ({"policy": "pools"}, "hhmmmmmee", "hhhhmmmmmmmmmeeee"),
        ({"hard_at_most": 0.25, "easy_at_least": 0.75}, "hhhmmmeee", "hhhhhmmmmmmmeeeee"),
    ],
)
def test_pools_by_pass_rate(given: dict[str, Any], of_8: str, of_16: str) -> None:
    policy = READ.validate_python(given)
    assert (pools(policy, 8), pools(policy, 16)) == (of_8, of_16)


@pytest.mark.parametrize(
    ("given", "hard", "mixed", "easy"),
    [
        ({"policy": "paper", "easy_share": 0}, {"sft"}, {"rl"}, {"dropped"}),
        ({"policy": "paper", "easy_share": 1}, {"sft"}, {"rl"}, {"rl"}),
        ({"policy": "relift"}, {"sft", "rl"}, {"rl"}, {"rl"}),
        ({"policy": "relift", "hard_share": 0, "easy_share": 0}, {"sft"}, {"rl"}, {"dropped"}),
        ({"policy": "pools", "hard_share": 0, "easy_share": 0}, {"sft"}, {"rl"}, {"dropped"}),
        ({"policy": "pools", "hard_share": 1, "mixed_share": 0, "easy_share": 1}, {"rl"}, {"dropped"}, {"rl"}),
        ({"policy": "pools", "hard_share": 0, "hard_to_sft": False}, {"dropped"}, {"rl"}, None),
        ({"policy": "all"}, {"sft", "rl"}, {"sft", "rl"}, {"sft", "rl"}),
    ],
)
def test_ways_of_whole_pools(given: dict[str, Any], hard: set[str], mixed: set[str], easy: set[str] | None) -> None:
    ways = READ.validate_python(given).ways
    found = {pool: {part for n in range(50) for part in parts_of(row(n), way, 0)} for pool, way in ways.items()}
    assert found["hard"] == hard and found["mixed"] == mixed
    assert easy is None or found["easy"] == easy


def test_the_named_policies_have_the_weights_that_they_are_known_for() -> None:
    """Where a recipe gives the name alone: the share of each pool that RL gets, and which of its problems SFT gets."""
    ways = {name: READ.validate_python({"policy": name}).ways for name in POLICIES}
    assert ways == {
        "paper": {"hard": Way(0.0, "all"), "mixed": Way(1.0), "easy": Way(0.1)},
        "relift": {"hard": Way(1.0, "all"), "mixed": Way(1.0), "easy": Way(1.0)},
        "pools": {"hard": Way(0.2, "rest"), "mixed": Way(1.0), "easy": Way(0.2)},
        "all": {"hard": Way(1.0, "all"), "mixed": Way(1.0, "all"), "easy": Way(1.0, "all")},
    }


def test_a_share_is_drawn_by_the_seed_and_the_problem_alone() -> None:
    way = Way(0.2, "rest")
    drawn = {number: parts_of(row(number), way, 0) for number in range(5000)}
    counts = Counter(drawn.values())
    assert set(counts) == {("sft",), ("rl",)}
    assert abs(counts["rl",] / 5000 - 0.2) < 0.02
    assert all(parts_of(row(number), way, 0) == drawn[number] for number in (3, 1, 4999))
    assert any(parts_of(row(number), way, 1) != drawn[number] for number in range(50))


def test_a_larger_share_keeps_what_a_smaller_one_has() -> None:
    few, many = ({n for n in range(500) if parts_of(row(n), Way(share), 0) == ("rl",)} for share in (0.1, 0.3))
    assert few < many


def test_an_unknown_policy_and_a_foreign_key_name_what_is_allowed() -> None:
    with pytest.raises(ValidationError, match=f"allowed: {', '.join(POLICIES)}"):
        RouteSettings.model_validate({"by": {"policy": "grpo"}})
    with pytest.raises(ValidationError, match="has no such key"):
        RouteSettings.model_validate({"by": {"policy": "paper", "hard_share": 0.5}})
    with pytest.raises(ValidationError, match="must be below easy_at_least"):
        RouteSettings.model_validate({"by": {"hard_at_most": 0.9, "easy_at_least": 0.5}})
