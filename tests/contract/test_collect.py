"""The contract of collect: what the component takes, hands over and refuses."""

import bz2
import csv
import gzip
import json
import lzma
from pathlib import Path
from typing import Any

import pyarrow
import pytest

from components.collect.collect import collect_data
from components.collect.component import collect
from components.collect.settings import CollectSettings
from components.shared.errors import EmptyDataError, InputError
from components.shared.outputs.library import Library
from components.shared.outputs.manifest import parse_manifest
from components.shared.rows import Instruction, Question, Rejected

DEMO = "package:demo/instructions"
DEMO_FILES = ("alpaca.jsonl", "chat.jsonl", "prompts.jsonl", "questions.csv", "sharegpt.json")
GOOD = [{"prompt": f"问题 {number}?", "response": "答案。"} for number in range(1, 20)]


class Artifact:
    """The part of kfp's artifact that a component uses."""

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
                "check": {"kind": "exact"},
                "uri": write_jsonl(
                    tmp_path / "heldout.jsonl", {"id": "1", "subject": "f", "question": "q", "answer": "a"}
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

    rows = list(Library(root).read_rows(dataset, Instruction))
    assert [row.instruction for row in rows] == [row["prompt"] for row in GOOD] * 2
    assert len({row.id for row in rows}) == len(rows)
    (rejected,) = Library(root).read_rows(dataset, Rejected, "rejected")
    assert (rejected.source, rejected.line, rejected.reason) == ("mixed/mixed.jsonl", 20, "broken-json")
    (question,) = Library(root).read_rows(benchmarks, Question)
    assert (question.benchmark, question.answer) == ("held_out", "a")

    expected = {"rows": 38, "records": 39, "rejected": 1, "sources": 2, "rows_good": 19, "rejected_mixed": 1}
    assert expected.items() <= given["metrics"].logged.items()
    shown = Path(given["summary"].path).read_text()
    assert "| mixed | jsonl | prompt_response | 19 | 0 | 1 | broken-json 1 |" in shown
    assert "| held_out | rows | 1 | 1 | 0 |  |" in shown


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


def test_killed_step_gives_the_same_output_when_repeated(tmp_path: Path, settings: dict[str, Any]) -> None:
    root = str(tmp_path / "store")
    first = collect_data(Library(root), CollectSettings.model_validate(settings))
    (tmp_path / "store" / first.dataset.address / "manifest.json").unlink()
    again = collect_data(Library(root), CollectSettings.model_validate(settings))
    assert again.dataset.digest == first.dataset.digest and again.dataset.shards == first.dataset.shards


def test_too_many_bad_rows_fail_the_step(
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
    assert any(Path(listed).iterdir()), "the rejected rows can be inspected"

    settings["max_rejected_share"] = 0.1
    run(tmp_path, settings)


def test_share_is_checked_for_each_source(tmp_path: Path) -> None:
    """A small source with only bad rows is not hidden by a large one with only good rows."""
    sources = [
        {"name": "large", "uri": write_jsonl(tmp_path / "large.jsonl", *GOOD * 100)},
        {"name": "small", "uri": write_jsonl(tmp_path / "small.jsonl", {"text": "no known shape"})},
    ]
    with pytest.raises(InputError, match="'small': 1 of 1 records are rejected: 1 unknown-shape"):
        collect_data(Library(str(tmp_path / "store")), CollectSettings.model_validate({"sources": sources}))


@pytest.mark.parametrize(
    ("source", "error", "said"),
    [
        ({"uri": "nowhere.jsonl"}, InputError, "no data at .*nowhere.jsonl"),
        ({"uri": "empty.jsonl"}, EmptyDataError, "no source has a usable row"),
        ({"uri": "notes.txt"}, InputError, "suffix of .*notes.txt is not one of a known format"),
    ],
)
def test_source_without_rows(source: dict[str, Any], error: type[Exception], said: str, tmp_path: Path) -> None:
    (tmp_path / "empty.jsonl").write_bytes(b"")
    (tmp_path / "notes.txt").write_bytes(b"notes")
    settings = {"sources": [{"name": "a", "uri": str(tmp_path / source["uri"])}]}
    with pytest.raises(error, match=said):
        collect_data(Library(str(tmp_path / "store")), CollectSettings.model_validate(settings))


def collected(root: Path, **source: Any) -> tuple[list[Instruction], dict[str, Any]]:
    """One source's rows, and its part of the report."""
    settings = {"sources": [{"name": "a", **source}], "max_rejected_share": 1}
    manifest = collect_data(Library(str(root)), CollectSettings.model_validate(settings)).dataset
    (report,) = json.loads(Library(str(root)).read_bytes(manifest, "report.json"))["sources"]
    return list(Library(str(root)).read_rows(manifest, Instruction)), report


def test_a_source_with_only_bad_rows_names_the_reasons(tmp_path: Path) -> None:
    """Even if all of them may be rejected."""
    uri = write_jsonl(tmp_path / "a.jsonl", {"prompt": "", "response": "b"}, b"{", {"prompt": "a"})
    with pytest.raises(EmptyDataError, match=r"source 'a': 3 of 3 records are rejected: 1 empty-instruction") as caught:
        collected(tmp_path / "store", uri=uri)
    assert "a/a.jsonl line 3 (lacks 'response' or 'completion'" in str(caught.value)
    listed = caught.value.remedy.rpartition("listed in ")[2]
    assert any(Path(listed).iterdir()), "the rejected rows can be inspected"


def test_a_bad_source_beside_a_good_one_is_logged(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sources = [
        {"name": "good", "uri": write_jsonl(tmp_path / "good.jsonl", *GOOD)},
        {"name": "bad", "uri": write_jsonl(tmp_path / "bad.jsonl", {"text": "a"})},
    ]
    settings = CollectSettings.model_validate({"sources": sources, "max_rejected_share": 1})
    assert collect_data(Library(str(tmp_path / "store")), settings).dataset.counts["rows_bad"] == 0
    assert "source 'bad': 1 of 1 records are rejected: 1 unknown-shape" in capsys.readouterr().err


def test_unread_fields_are_reported_by_source(
    tmp_path: Path, settings: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [{**GOOD[0], "id": 1, "messages[].x": "", "context": "c"}, {**GOOD[1], "id": 2}]
    settings["sources"][0]["uri"] = write_jsonl(tmp_path / "more.jsonl", *rows)
    _, given = run(tmp_path, settings)
    assert "source 'good': fields that are not read: id (2), context (1)" in capsys.readouterr().err
    assert given["metrics"].logged["ignored_fields_good"] == 2 and given["metrics"].logged["ignored_fields_mixed"] == 0
    assert (
        "| good | jsonl | prompt_response | 2 | 0 | 0 |  | id 2, context 1 |" in Path(given["summary"].path).read_text()
    )
    _, report = collected(tmp_path / "other", uri=settings["sources"][0]["uri"])
    assert report["ignored_fields"] == {"id": 2, "context": 1}


def test_labels_reach_the_rows_and_the_report(tmp_path: Path, settings: dict[str, Any]) -> None:
    rows = [{"prompt": f"a{n}", "completion": "b", "label": n > 0} for n in range(3)]
    settings["sources"][0]["uri"] = uri = write_jsonl(tmp_path / "kto.jsonl", *rows)
    found, report = collected(tmp_path / "other", uri=uri)
    assert [row.desirable for row in found] == [False, True, True]
    assert report["labels"] == {"desirable": 2, "undesirable": 1}
    _, given = run(tmp_path, settings)
    assert given["metrics"].logged["labelled_desirable"] == 2 and given["metrics"].logged["labelled_undesirable"] == 1
    assert "Labelled: 2 desirable responses, 1 undesirable." in Path(given["summary"].path).read_text()


def test_unread_files_are_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "data").mkdir()
    write_jsonl(tmp_path / "data" / "train.jsonl", GOOD[0])
    write_jsonl(tmp_path / "data" / "test.jsonl", GOOD[1])
    (tmp_path / "data" / "notes.txt").write_text("notes")
    rows, report = collected(tmp_path / "store", uri=str(tmp_path / "data"))
    assert [row.instruction for row in rows] == [GOOD[0]["prompt"]]
    assert report["unread"] == {"notes.txt": "unknown format", "test.jsonl": "split test"}
    assert "files not read: notes.txt (unknown format), test.jsonl (split test)" in capsys.readouterr().err


PACKERS: dict[str, Any] = {
    "gz": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "zst": lambda data: pyarrow.compress(data, codec="zstd", asbytes=True),
}


def test_compressed_files_beside_plain_ones_are_read(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    write_jsonl(tmp_path / "data" / "a.jsonl", GOOD[0])
    for number, (suffix, pack) in enumerate(PACKERS.items(), start=1):
        (tmp_path / "data" / f"{suffix}.jsonl.{suffix}").write_bytes(pack(json.dumps(GOOD[number]).encode()))
        line = f"question;answer\n{number};{suffix}\n"
        (tmp_path / "data" / f"{suffix}.csv.{suffix}").write_bytes(pack(line.encode()))
        (tmp_path / "data" / f"{suffix}.json.{suffix}").write_bytes(pack(json.dumps({"data": GOOD[:1]}).encode()))
    rows, report = collected(tmp_path / "store", uri=str(tmp_path / "data"))
    assert (len(rows), report["files"], report["rejected"], report["unread"]) == (13, 13, {}, {})
    assert {row.response for row in rows if row.source.startswith("a/") and ".csv." in row.source} == set(PACKERS)


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.json", "rows.csv", "rows.tsv"])
@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "gb18030"])
def test_text_in_another_encoding(encoding: str, name: str, tmp_path: Path) -> None:
    row = {"prompt": "问题一?", "response": "答案"}
    comma = "\t" if name.endswith("tsv") else ","
    text = (
        f"prompt{comma}response\n" + comma.join(row.values())
        if name[5] in "ct"
        else json.dumps(row, ensure_ascii=False)
    )
    (tmp_path / name).write_bytes(text.encode(encoding))
    uri = str(tmp_path / name)
    named = {"encoding": encoding} if encoding == "gb18030" else {}
    assert [row.instruction for row in collected(tmp_path / "store", uri=uri, **named)[0]] == ["问题一?"]
    if named:
        with pytest.raises(EmptyDataError, match=r"invalid-unicode.*byte 0xce at .*valid as gb18030") as caught:
            collected(tmp_path / "store", uri=uri)
        assert "set its `encoding` (such as gb18030" in caught.value.remedy


def test_wrong_settings_exit_with_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
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
    manifest = collect_data(Library(root), CollectSettings.model_validate(settings)).dataset
    assert [row.source for row in Library(root).read_rows(manifest, Instruction)] == ["all/a.csv", "all/b.jsonl"]
    settings["sources"][0].pop("limit")
    manifest = collect_data(Library(root), CollectSettings.model_validate(settings)).dataset
    assert [row.source for row in Library(root).read_rows(manifest, Instruction)][-1] == "all/deep/a.jsonl"


def test_bad_first_rows_do_not_hide_the_shape(tmp_path: Path) -> None:
    uri = write_jsonl(tmp_path / "a.jsonl", b"{", {"prompt": "lacks its response"}, *GOOD * 3)
    root = str(tmp_path / "store")
    manifest = collect_data(
        Library(root), CollectSettings.model_validate({"sources": [{"name": "a", "uri": uri}]})
    ).dataset
    found = [(row.line, row.reason, row.detail) for row in Library(root).read_rows(manifest, Rejected, "rejected")]
    assert found[1] == (2, "missing-field", "lacks 'response' or 'completion'; has prompt")
    assert manifest.counts["rows"] == 57


def test_exactly_the_malformed_rows_of_the_demo_are_rejected(tmp_path: Path) -> None:
    sources = [
        {"name": name.partition(".")[0], "uri": f"{DEMO}/{name}", "check": {"kind": "exact"}} for name in DEMO_FILES
    ]
    root = str(tmp_path / "store")
    manifest = collect_data(Library(root), CollectSettings.model_validate({"sources": sources})).dataset
    truth = Path(__file__).parents[2] / "demo" / "instructions" / "planted.jsonl"
    planted = [json.loads(line) for line in truth.read_text().splitlines()]
    malformed = {(row["source"], row["line"]) for row in planted if row["kind"] == "malformed"}
    rejected = {
        (row.source.rpartition("/")[2], row.line) for row in Library(root).read_rows(manifest, Rejected, "rejected")
    }
    assert len(malformed) >= 50 and rejected == malformed
    for row in Library(root).read_rows(manifest, Instruction):
        assert row.check is not None and row.check.answer == row.response.strip()
