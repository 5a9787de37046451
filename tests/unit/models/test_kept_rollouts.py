"""Rollouts that later probes use again: found by the keys of their problems, whatever set these are in."""

from pathlib import Path

import pytest

from components.models.rollouts.kept_rollouts import DrawnRollout, KeptRollouts
from components.models.rollouts.problems import KEY_LENGTH, Problem, problems_of, slices
from components.shared.rows import Labelled
from components.shared.store.open_store import open_store


def row(number: int, **changed: str) -> Labelled:
    plain = {"id": f"r{number}", "source": "s", "instruction": f"What is {number} plus 1?"}
    return Labelled(**{**plain, **changed}, line=number, type="t", primary="p", secondary="s")


def rollouts(problem: Problem, *numbers: int) -> list[DrawnRollout]:
    return [DrawnRollout(key=problem.request(number).key, text=f"try {number}") for number in numbers]


def test_a_key_follows_from_the_conversation_alone() -> None:
    key = Problem.of(row(1), "").key
    assert len(key) == KEY_LENGTH
    assert Problem.of(row(1, id="other", source="elsewhere"), "").key == key
    assert Problem.of(row(1, system="Be brief."), "").key == Problem.of(row(1), "Be brief.").key != key


def test_slices_are_the_same_for_any_order_of_the_rows() -> None:
    rows = [row(number) for number in range(7)]
    parts = [[problem.row.id for problem in part] for _, part in slices(problems_of(rows, ""), 3)]
    turned = [[problem.row.id for problem in part] for _, part in slices(problems_of(rows[::-1], ""), 3)]
    assert parts == turned and [len(part) for part in parts] == [3, 3, 1]


def test_a_slice_reads_the_rollouts_of_its_problems_and_the_first_of_two_counts(tmp_path: Path) -> None:
    kept = KeptRollouts(open_store(str(tmp_path)))
    first, second, third = problems_of(map(row, range(3)), "")
    kept.append([*rollouts(second, 1, 0), *rollouts(first, 0)])
    kept.append(rollouts(third, 0))
    kept.append([])
    assert set(kept.read(first.key, second.key)) == {f"{first.key}/0", f"{second.key}/0", f"{second.key}/1"}
    assert set(kept.read(third.key, third.key)) == {f"{third.key}/0"}
    assert len(list(tmp_path.glob("*.gz"))) == 2
    before = kept.read(first.key, third.key)
    kept.append([DrawnRollout(key=f"{third.key}/1", text="new"), *rollouts(second, 2)])
    assert kept.read(first.key, third.key).items() > before.items()


def test_damaged_rollouts_count_as_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kept = KeptRollouts(open_store(str(tmp_path)))
    (problem,) = problems_of([row(1)], "")
    kept.append(rollouts(problem, 0))
    next(tmp_path.glob("*.gz")).write_bytes(b"not gzip")
    kept.append(rollouts(problem, 1))
    assert set(kept.read(problem.key, problem.key)) == {f"{problem.key}/1"}
    assert "is damaged; its rollouts are drawn again" in capsys.readouterr().err
