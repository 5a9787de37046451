"""The face of collect: what the component takes and hands over, and what it refuses."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from components.collect.collect import collect_data
from components.collect.component import collect
from components.collect.settings import CollectSettings
from components.shared.errors import EmptyDataError, InputError
from components.shared.manifest import parse_manifest
from components.shared.rows import Instruction, Question, Rejected
from components.shared.shards import read_rows

DEMO = "package:pipelines/demo/instructions"
DEMO_FILES = ("alpaca.jsonl", "chat.jsonl", "prompts.jsonl", "questions.csv", "sharegpt.json")
GOOD = [{"prompt": f"问题 {number}?", "response": "答案。"} for number in range(1, 20)]


class Artifact:
    """What a component gets from kfp, as far as it uses it."""

    def __init__(self, path: Path) -> None:
        self.path, self.uri = str(path), str(path)
        self.metadata: dict[str, Any] = {}
        self.logged: dict[str, float] = {}

    def log_metric(self, metric: str, value: float) -> None:
        self.logged[metric] = value


def run(root: Path, settings: dict[str, Any]) -> tuple[str, dict[str, Artifact]]:
    given = {name: Artifact(root / "run" / name) for name in ("dataset", "benchmarks", "metrics", "summary")}
    return collect.python_func(root=str(root / "store"), settings=settings, **given), given


def write_jsonl(path: Path, *rows: Any) -> str:
    lines = [row if isinstance(row, bytes) else json.dumps(row, ensure_ascii=False).encode() for row in rows]
    path.write_bytes(b"\n".join(lines) + b"\n")
    return str(path)


@pytest.fixture
def settings(tmp_path: Path) -> dict[str, Any]:
    return {
        "sources": [
            {"name": "good", "uri": write_jsonl(tmp_path / "good.jsonl", *GOOD)},
            {"name": "mixed", "uri": write_jsonl(tmp_path / "mixed.jsonl", *GOOD, b'{"prompt": "cut')},
        ],
        "benchmarks": [
            {
                "name": "held_out",
                "importer": "demo",
                "uri": write_jsonl(
                    tmp_path / "heldout.jsonl", {"id": "1", "family": "f", "question": "q", "answer": "a"}
                ),
            }
        ],
    }


def test_component_hands_over_both_outputs(tmp_path: Path, settings: dict[str, Any]) -> None:
    uri, given = run(tmp_path, settings)
    root = str(tmp_path / "store")
    dataset = parse_manifest(Path(given["dataset"].path).read_bytes(), where="dataset")
    benchmarks = parse_manifest(Path(given["benchmarks"].path).read_bytes(), where="benchmarks")
    assert uri == f"{root}/{dataset.address}" and dataset.address != benchmarks.address
    assert (dataset.content, benchmarks.content) == ("instruction/1", "question/1")
    assert given["benchmarks"].metadata == {"address": benchmarks.address, "digest": benchmarks.digest}

    rows = list(read_rows(root, dataset, Instruction))
    assert [row.instruction for row in rows] == [row["prompt"] for row in GOOD] * 2
    assert len({row.id for row in rows}) == len(rows)
    (rejected,) = read_rows(root, dataset, Rejected, "rejected")
    assert (rejected.source, rejected.line, rejected.reason) == ("mixed/mixed.jsonl", 20, "broken-json")
    (question,) = read_rows(root, benchmarks, Question)
    assert (question.benchmark, question.answer) == ("held_out", "a")

    expected = {"rows": 38, "records": 39, "rejected": 1, "sources": 2, "rows_good": 19, "rejected_mixed": 1}
    assert expected.items() <= given["metrics"].logged.items()
    shown = Path(given["summary"].path).read_text()
    assert "| mixed | jsonl | prompt_response | 19 | 1 | broken-json 1 |" in shown
    assert "| held_out | demo | 1 | 1 | 0 |" in shown


def test_second_call_reads_nothing_again(tmp_path: Path, settings: dict[str, Any]) -> None:
    first, _ = run(tmp_path, settings)
    times = {path: path.stat().st_mtime_ns for path in (tmp_path / "store").rglob("*") if path.is_file()}
    assert run(tmp_path, settings)[0] == first
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "store").rglob("*") if path.is_file()} == times


def test_moved_source_is_the_same_and_changed_source_is_not(tmp_path: Path, settings: dict[str, Any]) -> None:
    first, _ = run(tmp_path, settings)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "good.jsonl").rename(tmp_path / "elsewhere" / "good.jsonl")
    settings["sources"][0]["uri"] = str(tmp_path / "elsewhere" / "good.jsonl")
    assert run(tmp_path, settings)[0] == first
    write_jsonl(tmp_path / "elsewhere" / "good.jsonl", *GOOD[1:])
    assert run(tmp_path, settings)[0] != first


def test_killed_step_is_made_again_alike(tmp_path: Path, settings: dict[str, Any]) -> None:
    root = str(tmp_path / "store")
    first = collect_data(root, CollectSettings.model_validate(settings))
    (tmp_path / "store" / first.dataset.address / "manifest.json").unlink()
    again = collect_data(root, CollectSettings.model_validate(settings))
    assert again.dataset.digest == first.dataset.digest and again.dataset.shards == first.dataset.shards


def test_too_many_bad_rows_end_the_step(
    tmp_path: Path, settings: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    settings["sources"][1]["uri"] = write_jsonl(
        tmp_path / "worse.jsonl", *GOOD, b'{"prompt": "cut', {"prompt": "", "response": "a"}
    )
    with pytest.raises(SystemExit) as ended:
        run(tmp_path, settings)
    assert ended.value.code == 1
    shown = capsys.readouterr().err
    assert "source 'mixed': 2 of 21 records are rejected" in shown
    assert "1 broken-json, first in mixed/worse.jsonl line 20" in shown and "empty-instruction" in shown
    assert "at most 5.0%" in shown and "max_rejected_share" in shown and "Traceback" not in shown
    listed = shown.rpartition("listed in ")[2].strip()
    assert any(Path(listed).iterdir()), "the rejected rows can be looked at"

    settings["max_rejected_share"] = 0.1
    run(tmp_path, settings)


def test_share_is_judged_for_each_source(tmp_path: Path) -> None:
    """A small source that is all wrong is not hidden by a large one that is all right."""
    sources = [
        {"name": "large", "uri": write_jsonl(tmp_path / "large.jsonl", *GOOD * 100)},
        {"name": "small", "uri": write_jsonl(tmp_path / "small.jsonl", {"text": "no known shape"})},
    ]
    with pytest.raises(InputError, match="'small': 1 of 1 records are rejected: 1 unknown-shape"):
        collect_data(str(tmp_path / "store"), CollectSettings.model_validate({"sources": sources}))


@pytest.mark.parametrize(
    ("source", "error", "said"),
    [
        ({"uri": "nowhere.jsonl"}, InputError, "no data at .*nowhere.jsonl"),
        ({"uri": "empty.jsonl"}, EmptyDataError, "no source has a single row"),
        ({"uri": "notes.txt"}, InputError, "suffix of .*notes.txt means no known format"),
    ],
)
def test_source_that_gives_nothing(source: dict[str, Any], error: type[Exception], said: str, tmp_path: Path) -> None:
    (tmp_path / "empty.jsonl").write_bytes(b"")
    (tmp_path / "notes.txt").write_bytes(b"notes")
    settings = {"sources": [{"name": "a", "uri": str(tmp_path / source["uri"])}]}
    with pytest.raises(error, match=said):
        collect_data(str(tmp_path / "store"), CollectSettings.model_validate(settings))


def test_wrong_settings_end_with_two(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        run(tmp_path, {"sources": [{"name": "a", "uri": "x", "shape": "poem"}]})
    assert ended.value.code == 2
    assert "sources.0.shape = 'poem'" in capsys.readouterr().err


def test_folder_of_several_formats_and_shapes(tmp_path: Path) -> None:
    (tmp_path / "data" / "deep").mkdir(parents=True)
    write_jsonl(tmp_path / "data" / "b.jsonl", GOOD[0])
    write_jsonl(tmp_path / "data" / "deep" / "a.jsonl", {"instruction": "Do", "output": "Done"})
    with (tmp_path / "data" / "a.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["question", "answer"], ["2 + 2", "4"]])
    settings = {"sources": [{"name": "all", "uri": str(tmp_path / "data"), "limit": 2}]}
    root = str(tmp_path / "store")
    manifest = collect_data(root, CollectSettings.model_validate(settings)).dataset
    assert [row.source for row in read_rows(root, manifest, Instruction)] == ["all/a.csv", "all/b.jsonl"]
    settings["sources"][0].pop("limit")
    manifest = collect_data(root, CollectSettings.model_validate(settings)).dataset
    assert [row.source for row in read_rows(root, manifest, Instruction)][-1] == "all/deep/a.jsonl"


def test_bad_first_rows_do_not_hide_the_shape(tmp_path: Path) -> None:
    uri = write_jsonl(tmp_path / "a.jsonl", b"{", {"prompt": "lacks its response"}, *GOOD * 3)
    root = str(tmp_path / "store")
    manifest = collect_data(root, CollectSettings.model_validate({"sources": [{"name": "a", "uri": uri}]})).dataset
    found = [(row.line, row.reason, row.detail) for row in read_rows(root, manifest, Rejected, "rejected")]
    assert found[1] == (2, "missing-field", "lacks 'response' or 'completion'; has prompt")
    assert manifest.counts["rows"] == 57


def test_of_the_demo_exactly_the_malformed_rows_are_rejected(tmp_path: Path) -> None:
    sources = [
        {"name": name.partition(".")[0], "uri": f"{DEMO}/{name}", "check": {"kind": "exact"}} for name in DEMO_FILES
    ]
    root = str(tmp_path / "store")
    manifest = collect_data(root, CollectSettings.model_validate({"sources": sources})).dataset
    truth = Path(__file__).parents[2] / "pipelines" / "demo" / "instructions" / "planted.jsonl"
    planted = [json.loads(line) for line in truth.read_text().splitlines()]
    malformed = {(row["source"], row["line"]) for row in planted if row["kind"] == "malformed"}
    rejected = {(row.source.rpartition("/")[2], row.line) for row in read_rows(root, manifest, Rejected, "rejected")}
    assert len(malformed) >= 50 and rejected == malformed
    for row in read_rows(root, manifest, Instruction):
        assert row.check is not None and row.check.answer == row.response.strip()
