"""The contract of adopt: the rows and questions that it hands on, and what does not fit a study."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from components.adopt.adopt import adopt_selection
from components.adopt.component import adopt
from components.adopt.settings import AdoptSettings
from components.adopt.step import STEP
from components.shared.errors import DamagedError, EmptyDataError, InputError, NotFoundError
from components.shared.outputs.library import Library
from components.shared.outputs.manifest import Manifest, parse_manifest
from components.shared.outputs.output import Output
from components.shared.rows import Message, Question, Scores, SftRow
from components.shared.settings import Settings
from components.shared.step import Product
from tests.stand_in_outputs import stand_in_output

PARTS = {"sft": ("sft",), "kto": (), "pairs": ()}


class Artifact:
    """The part of kfp's artifact that a component uses."""

    def __init__(self, path: Path) -> None:
        self.path, self.metadata = str(path), {}

    def log_metric(self, name: str, value: float) -> None:
        self.metadata[name] = value


def prepared(root: str) -> tuple[Manifest, Manifest]:
    """A selection with two demonstrations, and the questions of its run."""
    asked = Output(Library(root), Product("collect-benchmarks", 1, "question/1"), Settings(), {})
    asked.write_rows("rows/00000", [Question(benchmark="demo", id=str(n), question="?", answer="1") for n in range(3)])
    questions = asked.finish()
    collected = stand_in_output(root, "collect", {}, {}).finish()
    curated = stand_in_output(root, "curate", {}, {"instructions": collected, "benchmarks": questions}).finish()
    answered = stand_in_output(root, "synthesize", {}, {"dataset": curated}).finish()
    output = stand_in_output(root, "select", {}, {"responses": answered})
    prompt = (Message(role="user", content="2+2?"),)
    rows = [SftRow(id=str(n), prompt=prompt, completion="4", origin="original", scores=Scores()) for n in range(2)]
    output.write_rows("sft/00000", rows)
    return output.finish(), questions


def taken(root: str, selection: str, **changed: Any) -> tuple[Manifest, Manifest]:
    settings = AdoptSettings.model_validate({"parts": PARTS, "benchmarks": ("demo",), **changed})
    return adopt_selection(Library(root), settings, selection)


def test_component_hands_on_the_rows_and_the_questions_of_their_run(tmp_path: Path) -> None:
    root = str(tmp_path / "store")
    selection, questions = prepared(root)
    before = sorted(Path(root).rglob("*"))
    outputs = [Artifact(tmp_path / name) for name in ("dataset", "benchmarks", "metrics", "summary")]
    settings = {"parts": PARTS, "benchmarks": ["demo"]}
    uri = adopt.python_func(root, settings, selection.address, *outputs)
    dataset, benchmarks, metrics, summary = outputs
    assert uri == f"{root}/{selection.address}"
    assert parse_manifest(Path(dataset.path).read_bytes(), where="dataset") == selection
    assert parse_manifest(Path(benchmarks.path).read_bytes(), where="benchmarks") == questions
    assert metrics.metadata == {"sft_rows": 2, "kto_rows": 0, "pairs_rows": 0, "questions": 3}
    assert "| sft rows | 2 |" in Path(summary.path).read_text()
    assert sorted(Path(root).rglob("*")) == before, "nothing is written"
    assert taken(root, uri) == (selection, questions), "its URI is as good as its address"


def test_an_arm_that_needs_pairs_is_refused_where_there_are_none(tmp_path: Path) -> None:
    root = str(tmp_path)
    selection, _ = prepared(root)
    with pytest.raises(EmptyDataError, match=f"{selection.address} has no pairs rows") as caught:
        taken(root, selection.address, parts=PARTS | {"pairs": ("dpo", "simpo")})
    assert caught.value.rule == "dpo, simpo read the part pairs/ of a selection"
    assert caught.value.allowed == ("sft",) and "leave out the arms" in caught.value.remedy


def test_what_is_no_selection_or_has_no_questions_is_refused(tmp_path: Path) -> None:
    root = str(tmp_path / "store")
    selection, questions = prepared(root)
    with pytest.raises(NotFoundError, match=r"select/0123456789abcdef lacks manifest\.json"):
        taken(root, "select/0123456789abcdef")
    with pytest.raises(InputError, match=r"collect-benchmarks/\w+ holds question/1") as caught:
        taken(root, questions.address)
    assert caught.value.allowed == ("selection/1",)
    with pytest.raises(NotFoundError, match=rf"elsewhere/{selection.address} lacks manifest\.json"):
        taken(root, f"{tmp_path}/elsewhere/{selection.address}")
    for unclear in ("demo", "s3://bucket/select", "C:select/0/1"):
        with pytest.raises(InputError, match=f"{unclear!r} names no output"):
            taken(root, unclear)
    with pytest.raises(InputError, match="has no questions of mmlu") as caught:
        taken(root, selection.address, benchmarks=("demo", "mmlu"))
    assert caught.value.allowed == ("demo",)
    (Path(root) / questions.address / "manifest.json").unlink()
    with pytest.raises(InputError, match=r"questions that the rows of select/.* were cleared of are not in") as caught:
        taken(root, selection.address)
    assert "name the selection by its URI in the store of that run" in caught.value.remedy


def test_a_selection_in_another_store_is_copied_with_its_questions(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Once it is copied, the other store is not needed, and its address is enough."""
    theirs, ours = str(tmp_path / "theirs"), str(tmp_path / "ours")
    selection, questions = prepared(theirs)
    uri = f"{theirs}/{selection.address}"
    look = next(
        STEP.examine(AdoptSettings(parts=PARTS, benchmarks=("demo",)), "rows", {"root": ours, "selection": uri})
    )
    assert look.look() == questions.address and not Path(ours).exists(), "doctor copies nothing"

    assert taken(ours, uri) == (selection, questions)
    assert f"copied from {theirs}: {questions.address}, curate/" in capsys.readouterr().err
    library = Library(ours)
    assert [row.id for row in library.read_rows(selection, SftRow, "sft")] == ["0", "1"]
    assert len(list(library.read_rows(questions, Question))) == 3
    assert not list(Path(ours).rglob("lease.json")) and not (Path(ours) / "collect").exists()
    assert taken(ours, uri) == (selection, questions) and "copied" not in capsys.readouterr().err
    shutil.rmtree(theirs)
    assert taken(ours, selection.address) == (selection, questions)


def test_a_store_with_another_selection_at_that_address_is_left_as_it_is(tmp_path: Path) -> None:
    theirs, ours = str(tmp_path / "theirs"), str(tmp_path / "ours")
    selection, _ = prepared(theirs)
    other = stand_in_output(ours, "select", {}, {})
    other.address, other.store = selection.address, Library(ours).at(selection.address)
    other.write_rows("sft/00000", [])
    kept = other.finish()
    with pytest.raises(
        InputError, match=f"ours/{selection.address} differs from .*theirs/{selection.address}"
    ) as caught:
        taken(ours, f"{theirs}/{selection.address}")
    assert "run in another store" in caught.value.remedy and Library(ours).load(selection.address) == kept


def test_a_damaged_file_in_another_store_is_not_copied(tmp_path: Path) -> None:
    theirs, ours = str(tmp_path / "theirs"), str(tmp_path / "ours")
    selection, _ = prepared(theirs)
    (rows,) = (Path(theirs) / selection.address / "sft").iterdir()
    rows.write_bytes(rows.read_bytes()[:-1])
    with pytest.raises(DamagedError, match="is damaged"):
        taken(ours, f"{theirs}/{selection.address}")
    assert Library(ours).find(selection.address) is None


def test_questions_that_have_changed_are_not_those_of_the_rows(tmp_path: Path) -> None:
    root = str(tmp_path)
    selection, questions = prepared(root)
    path = Path(root) / questions.address / "manifest.json"
    changed = json.loads(path.read_text())
    changed["shards"][0]["digest"] = "sha256:" + "0" * 64
    path.write_text(json.dumps(changed))
    with pytest.raises(InputError, match="were cleared of"):
        taken(root, selection.address)
