"""The record of a run's outputs: by task, and only within a run."""

from pathlib import Path
from typing import Any

import pytest

from components.shared.errors import DamagedError, InputError
from components.shared.outputs.library import Library
from components.shared.outputs.manifest import Cost
from components.shared.outputs.run_pointer import RUN_VARIABLE, found_in_run, recorded_outputs
from components.shared.process.run_component import run_component


class Made:
    """What a step's work returns."""

    address, cost = "train/0123", Cost()


def run(root: Path, task: str, returned: str = "somewhere") -> str:
    def hand_over(_library: Library, _made: Any) -> str:
        return returned

    return run_component(task, str(root), lambda _library: Made(), hand_over)


def test_a_task_of_a_run_records_its_output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(RUN_VARIABLE, "it")
    assert run(tmp_path, "train-sft") == "somewhere"
    assert recorded_outputs(Library(str(tmp_path)), "it") == {"train-sft": "train/0123"}
    assert recorded_outputs(Library(str(tmp_path)), "another") == {}


def test_outside_a_run_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(RUN_VARIABLE, raising=False)
    run(tmp_path, "train-sft")
    assert list(tmp_path.iterdir()) == []


def test_a_task_that_fails_records_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(RUN_VARIABLE, "it")

    def work(_library: Library) -> Made:
        raise ValueError("no")

    with pytest.raises(SystemExit):
        run_component("train-sft", str(tmp_path), work, lambda _library, _made: "")
    assert recorded_outputs(Library(str(tmp_path)), "it") == {}


def test_a_damaged_record_is_named(tmp_path: Path) -> None:
    path = tmp_path / "runs" / "it" / "outputs" / "train-sft.json"
    path.parent.mkdir(parents=True)
    path.write_text("{")
    with pytest.raises(DamagedError, match=r"train-sft\.json"):
        recorded_outputs(Library(str(tmp_path)), "it")


def test_what_failed_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    library = Library(str(tmp_path))
    monkeypatch.setenv(RUN_VARIABLE, "it")
    run(tmp_path, "evaluate-a")
    named = {"a": "task:evaluate-a", "b": "task:evaluate-b", "c": "s3://bucket/evaluate/1"}
    assert found_in_run(library, named) == {"a": library.uri("train/0123"), "c": "s3://bucket/evaluate/1"}
    monkeypatch.delenv(RUN_VARIABLE)
    assert found_in_run(library, {"c": named["c"]}) == {"c": named["c"]}
    with pytest.raises(InputError, match="'evaluate-a' of a run, outside one"):
        found_in_run(library, named)
