"""Replay: which of the student's own answers are learnt again, and how many."""

from typing import Any

import pytest

from components.bridge.replay import replay_rows, wanted
from components.shared.rollout_rows import Probed, Rollout
from components.shared.rows import SftRow


def probed(name: str, *rollouts: Rollout, **changed: Any) -> Probed:
    row = {"id": name, "source": "s", "line": 1, "instruction": f"{name}?", "type": "t", "primary": "p"}
    counts = {"tries": 1, "successes": 1, "lengths": (), "truncated": 0, "low": 0.0, "high": 1.0, "decided": True}
    return Probed.model_validate({"secondary": "s", **row, **counts, "rollouts": rollouts, **changed})


def solved(name: str) -> Probed:
    return probed(name, Rollout(text=f"{name} is 6", passed=False), Rollout(text=f"{name} is 5", passed=True))


def names(rows: list[SftRow]) -> list[str]:
    return [row.id for row in rows]


def test_only_right_answers_that_ended_by_themselves_are_replayed() -> None:
    rows = [
        solved("a"),
        probed("truncated", Rollout(text="5", passed=True, finish="length")),
        probed("unchecked", Rollout(text="5", passed=None)),
        probed("failed", Rollout(text="6", passed=False)),
    ]
    (row,) = replay_rows(rows, [], texts=100, share=0.5, seed=0)
    assert (row.id, row.completion, row.origin, row.kind) == ("a/replay", "a is 5", "student", "replay")
    assert [message.content for message in row.prompt] == ["a?"] and row.scores.checked


def test_what_is_taught_is_not_replayed() -> None:
    rows = [solved("a"), solved("b"), probed("b", Rollout(text="5", passed=True), line=2)]
    kept = replay_rows(rows, rows[1:2], texts=100, share=0.5, seed=0)
    assert sorted(row.completion for row in kept) == ["5", "a is 5"], "a problem is its source, line and id"


@pytest.mark.parametrize(
    ("texts", "share", "rows"), [(30, 0.5, 30), (30, 0.25, 10), (10, 0.75, 30), (0, 0.5, 0), (7, 0.3, 3)]
)
def test_the_share_is_of_all_rows_to_learn(texts: int, share: float, rows: int) -> None:
    assert wanted(texts, share) == rows
    assert len(replay_rows([solved(f"p{n}") for n in range(40)], [], texts, share, seed=0)) == rows


def test_there_are_fewer_where_the_student_solves_too_few() -> None:
    assert len(replay_rows([solved("a"), solved("b")], [], texts=30, share=0.5, seed=0)) == 2


def test_the_seed_decides_and_other_problems_do_not_change_the_order() -> None:
    rows = [solved(f"p{number}") for number in range(40)]
    first = replay_rows(rows, [], texts=10, share=0.5, seed=0)
    assert replay_rows(list(reversed(rows)), [], texts=10, share=0.5, seed=0) == first
    assert names(replay_rows(rows, [], texts=10, share=0.5, seed=1)) != names(first)
    without = [row for row in rows if f"{row.id}/replay" != first[0].id]
    assert names(replay_rows(without, [], texts=10, share=0.5, seed=0))[:9] == names(first)[1:]


def test_one_of_a_problems_right_answers_is_drawn() -> None:
    texts = [f"5, by way {number}" for number in range(8)]
    row = probed("a", *(Rollout(text=text, passed=True) for text in texts))
    drawn = {replay_rows([row], [], 1, 0.5, seed)[0].completion for seed in range(40)}
    assert len(drawn) > 4 and drawn <= set(texts)
