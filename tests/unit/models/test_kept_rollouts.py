"""Rollouts that later probes use again: found by the keys of their problems, whatever set these are in."""

from pathlib import Path

import pytest

from components.clean_up.unfinished import find_unfinished
from components.models.rollouts.kept_rollouts import DrawnRollout, KeptRollouts
from components.models.rollouts.list_kept import list_kept
from components.models.rollouts.problems import KEY_LENGTH, Problem, problems_of, slices
from components.probe.settings import ProbeSettings
from components.probe.step import ROLLOUTS
from components.shared.outputs.library import Library
from components.shared.outputs.manifest import Manifest, Parent
from components.shared.outputs.output import address_of
from components.shared.rows import Labelled
from components.shared.store.open_store import open_store

SOURCE = ProbeSettings().source
MODEL = {"model": Parent(address="package:demo/student", digest="5" * 64)}
ADDRESS = address_of(ROLLOUTS, SOURCE, MODEL)
LATER = 4e9
"""Seconds since the epoch, long after any test."""


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


def listed(root: Path) -> Manifest:
    manifest = list_kept(Library(str(root)), ROLLOUTS, SOURCE, MODEL)
    assert manifest is not None
    return manifest


def test_a_manifest_lists_what_is_kept_and_of_which_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    library = Library(str(tmp_path))
    assert list_kept(library, ROLLOUTS, SOURCE, MODEL) is None and not list(tmp_path.iterdir())
    kept, (first, second) = KeptRollouts(library.at(ADDRESS)), problems_of(map(row, range(2)), "")
    kept.append(rollouts(first, 0, 1))
    before = listed(tmp_path)
    assert (before.address, before.parents, before.counts) == (ADDRESS, MODEL, {"rollouts": 2})
    kept.append(rollouts(second, 0))
    after = listed(tmp_path)
    assert after.counts == {"rollouts": 3} and set(before.shards) < set(after.shards)
    assert listed(tmp_path).created == after.created, "what is listed is not written again"
    for shard in after.shards:
        library.read_bytes(after, shard.name)
    (tmp_path / ADDRESS / before.shards[0].name).unlink()
    kept.append(rollouts(first, 2))
    newest = max(
        (tmp_path / ADDRESS).glob("*.gz"), key=lambda path: path.name not in {one.name for one in after.shards}
    )
    newest.write_bytes(b"not gzip")
    assert listed(tmp_path).counts == {"rollouts": 1}
    assert "is damaged and is left out of the manifest" in capsys.readouterr().err


def test_kept_rollouts_are_unfinished_only_until_a_step_ends(tmp_path: Path) -> None:
    """Those of older stores have no manifest: they are read, and listed by the next step that ends."""
    kept, (problem,) = KeptRollouts(Library(str(tmp_path)).at(ADDRESS)), problems_of([row(1)], "")
    kept.append(rollouts(problem, 0))
    assert [found.address for found in find_unfinished(str(tmp_path), LATER)] == [ADDRESS]
    assert set(kept.read(problem.key, problem.key)) == {f"{problem.key}/0"}
    listed(tmp_path)
    assert not list(find_unfinished(str(tmp_path), LATER))
    assert set(kept.read(problem.key, problem.key)) == {f"{problem.key}/0"}
