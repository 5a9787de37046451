"""Each importer on a few lines in the original's form."""

import bz2
import gzip
import json
import lzma
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from components.collect.benchmarks.import_benchmarks import draw, import_benchmarks
from components.collect.settings import QuestionSettings
from components.shared.errors import EmptyDataError, InputError
from components.shared.outputs.library import Library
from components.shared.outputs.manifest import Manifest
from components.shared.rows import Question

GSM8K = {"question": "How many eggs?", "answer": "16-7=<<16-7=9>>9\n#### 1,009"}
HUMANEVAL = {
    "task_id": "HumanEval/0",
    "prompt": "def f():\n",
    "entry_point": "f",
    "canonical_solution": "    return 1\n",
    "test": "def check(candidate): ...",
}
IFEVAL = {"key": 1000, "prompt": "No commas.", "instruction_id_list": ["punctuation:no_comma"], "kwargs": [{"n": None}]}


def imported(root: Path, uri: Path, name: str, **changes: Any) -> tuple[Manifest, list[Question]]:
    settings = QuestionSettings.model_validate({"benchmarks": [{"name": name, "uri": str(uri), **changes}]})
    manifest = import_benchmarks(Library(str(root / "store")), settings)
    return manifest, list(Library(str(root / "store")).read_rows(manifest, Question))


def lines(path: Path, *rows: dict[str, Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    data = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def packed(path: Path, files: dict[str, str]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return path


def unpacked(path: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_text(text)
    return path


def test_gsm8k(tmp_path: Path) -> None:
    manifest, (question,) = imported(tmp_path, lines(tmp_path / "gsm8k_test.jsonl", GSM8K), "gsm8k")
    assert (question.question, question.answer, question.split) == ("How many eggs?", "1009", "test")
    assert question.extra["solution"] == GSM8K["answer"]
    assert manifest.counts == {"questions": 1, "rejected": 0, "benchmarks": 1, "test_gsm8k": 1, "dev_gsm8k": 0}
    assert manifest.content == "question/1" and manifest.address.startswith("collect/")


def test_gsm8k_folder_reads_no_training_set(tmp_path: Path) -> None:
    lines(tmp_path / "data" / "train.jsonl", GSM8K, GSM8K)
    lines(tmp_path / "data" / "test.jsonl", GSM8K)
    assert len(imported(tmp_path, tmp_path / "data", "gsm8k")[1]) == 1


def test_humaneval_compressed(tmp_path: Path) -> None:
    _, (question,) = imported(tmp_path, lines(tmp_path / "HumanEval.jsonl.gz", HUMANEVAL), "humaneval")
    assert question.id == "HumanEval/0" and question.question == "def f():\n" and question.answer == "    return 1\n"
    assert question.extra == {"tests": HUMANEVAL["test"], "entry_point": "f"}


@pytest.mark.parametrize(("suffix", "pack"), [("bz2", bz2.compress), ("xz", lzma.compress), ("gz", gzip.compress)])
def test_compressed_originals_in_folders_and_zips(suffix: str, pack: Any, tmp_path: Path) -> None:
    data = pack(json.dumps(HUMANEVAL).encode())
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / f"HumanEval.jsonl.{suffix}").write_bytes(data)
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        archive.writestr(f"HumanEval.jsonl.{suffix}", data)
    for uri in (tmp_path / "set", tmp_path / "set.zip"):
        assert [question.id for question in imported(tmp_path, uri, "humaneval")[1]] == ["HumanEval/0"]
    (tmp_path / "mmlu" / "test").mkdir(parents=True)
    (tmp_path / "mmlu" / "test" / f"anatomy_test.csv.{suffix}").write_bytes(pack(b"q,a,b,c,d,A\n"))
    assert imported(tmp_path, tmp_path / "mmlu", "mmlu")[1][0].subject == "anatomy"


def test_ifeval(tmp_path: Path) -> None:
    _, (question,) = imported(tmp_path, lines(tmp_path / "input_data.jsonl", IFEVAL), "ifeval")
    assert question.id == "ifeval/1000" and question.answer == ""
    assert json.loads(question.extra["instruction_id_list"]) == ["punctuation:no_comma"]
    assert json.loads(question.extra["kwargs"]) == [{"n": None}]


def test_bbh(tmp_path: Path) -> None:
    task = json.dumps({"canary": "x", "examples": [{"input": "(A) or (B)?", "target": "(A)"}]})
    files = {"bbh/date_understanding.json": task, "cot-prompts/date_understanding.txt": "Q: …"}
    for uri in (unpacked(tmp_path / "BIG-Bench-Hard", files), packed(tmp_path / "bbh.zip", files)):
        _, (question,) = imported(tmp_path, uri, "bbh")
        assert (question.subject, question.answer) == ("date_understanding", "(A)")


MMLU = {
    "data/dev/anatomy_dev.csv": 'Where is it?,here,"there, or so",up,down,D\n',
    "data/test/anatomy_test.csv": '"A ""dished"" face",a,b,c,d,A\nTwo\n',
    "data/val/anatomy_val.csv": "not,read\n",
    "data/README.txt": "…",
}
CMMLU = {
    "dev/logical.csv": ",Question,A,B,C,D,Answer\n0,支持谬误的情形,合成谬误,演绎无效,分解谬误,偷换论题,D\n",
    "test/logical.csv": ",Question,A,B,C,D,Answer\n0,违反,同一律,排中律,矛盾律,充足理由律,c\n",
}
CEVAL = {
    "dev/law_dev.csv": 'id,question,A,B,C,D,answer,explanation\n0,问,甲,乙,丙,丁,B,"1. 因为\n2. 所以"\n',
    "val/law_val.csv": "\ufeffid,question,A,B,C,D,answer\n0,下列____。,甲,乙,丙,丁,A\n",
    "test/law_test.csv": "id,question,A,B,C,D\n0,没有答案,甲,乙,丙,丁\n",
}


@pytest.mark.parametrize("form", [packed, unpacked])
def test_mmlu(form: Any, tmp_path: Path) -> None:
    files = {**MMLU, "data/test/anatomy_test.csv": MMLU["data/test/anatomy_test.csv"].replace("Two\n", "")}
    _, (example, asked) = imported(tmp_path, form(tmp_path / "mmlu.zip", files), "mmlu")
    assert (example.split, example.answer, example.choices) == ("dev", "D", ("here", "there, or so", "up", "down"))
    assert (asked.split, asked.subject, asked.question) == ("test", "anatomy", 'A "dished" face')
    assert asked.id == "mmlu/anatomy/test/1"


@pytest.mark.parametrize("form", [packed, unpacked])
def test_cmmlu(form: Any, tmp_path: Path) -> None:
    _, (example, asked) = imported(tmp_path, form(tmp_path / "cmmlu.zip", CMMLU), "cmmlu")
    assert (example.split, example.question, example.answer) == ("dev", "支持谬误的情形", "D")
    assert (asked.subject, asked.choices[0], asked.answer) == ("logical", "同一律", "C")


@pytest.mark.parametrize("form", [packed, unpacked])
def test_ceval_asks_val(form: Any, tmp_path: Path) -> None:
    _, (example, asked) = imported(tmp_path, form(tmp_path / "ceval.zip", CEVAL), "ceval")
    assert example.split == "dev" and example.extra == {"explanation": "1. 因为\n2. 所以"}
    assert (asked.split, asked.question, asked.answer, asked.extra) == ("test", "下列____。", "A", {})


def test_folder_and_zip_hold_the_same_questions(tmp_path: Path) -> None:
    zipped = imported(tmp_path, packed(tmp_path / "a.zip", CMMLU), "cmmlu")[1]
    assert imported(tmp_path, unpacked(tmp_path / "a", CMMLU), "cmmlu")[1] == zipped


def test_subjects(tmp_path: Path) -> None:
    files = {**CMMLU, "test/other.csv": CMMLU["test/logical.csv"]}
    uri = unpacked(tmp_path / "cmmlu", files)
    assert {question.subject for question in imported(tmp_path, uri, "cmmlu", subjects=["other"])[1]} == {"other"}
    with pytest.raises(EmptyDataError, match="no questions in"):
        imported(tmp_path, uri, "cmmlu", subjects=["cooking"])


@pytest.mark.parametrize(
    ("name", "row", "said"),
    [
        ("gsm8k", {"question": "a", "answer": "no mark"}, "no final answer"),
        ("gsm8k", {"answer": "#### 3"}, "lacks 'question'; has answer"),
        ("humaneval", {**HUMANEVAL, "test": None}, "'test' is NoneType"),
        ("ifeval", {"prompt": "a"}, "must be lists"),
    ],
)
def test_bad_row_is_an_error(name: str, row: dict[str, Any], said: str, tmp_path: Path) -> None:
    good = {"gsm8k": GSM8K, "humaneval": HUMANEVAL, "ifeval": IFEVAL}[name]
    with pytest.raises(InputError, match=f"line 2: .*{re.escape(said)}"):
        imported(tmp_path, lines(tmp_path / "set.jsonl", good, row), name)


@pytest.mark.parametrize(
    ("files", "said"),
    [
        (MMLU, "line 2: 1 columns"),
        ({"test/a.csv": "q,a,b,c,d,E\n"}, "'E' is not one of the letters ABCD"),
        ({"test/a.csv": '"q,a,b,c,d,A\n'}, "line 1"),
    ],
)
def test_bad_choice_file_is_an_error(files: dict[str, str], said: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=said):
        imported(tmp_path, unpacked(tmp_path / "mmlu", files), "mmlu")


def test_invalid_utf8_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "set.jsonl").write_bytes(b'{"question": "\xff"}\n')
    with pytest.raises(InputError, match=r"line 1: .*utf-8"):
        imported(tmp_path, tmp_path / "set.jsonl", "gsm8k")


def test_damaged_zip(tmp_path: Path) -> None:
    path = packed(tmp_path / "mmlu.zip", MMLU)
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(InputError, match="damaged zip"):
        imported(tmp_path, path, "mmlu")


def test_zip_from_macos(tmp_path: Path) -> None:
    """Its hidden members have the names of the files, but are not CSV."""
    apple = "\0\5\x16\7\0\2\0\0Mac OS X"
    hidden = {
        "__MACOSX/._data": apple,
        "__MACOSX/test/._logical.csv": apple,
        "test/._logical.csv": apple,
        ".DS_Store": apple,
        "test/.git/logical.csv": apple,
    }
    plain = imported(tmp_path, packed(tmp_path / "plain.zip", CMMLU), "cmmlu")[1]
    assert len(plain) == 2
    assert imported(tmp_path, packed(tmp_path / "mac.zip", CMMLU | hidden), "cmmlu")[1] == plain
    assert imported(tmp_path, unpacked(tmp_path / "mac", CMMLU | hidden), "cmmlu")[1] == plain


def test_unreadable_zip_member_is_named(tmp_path: Path) -> None:
    path = packed(tmp_path / "mmlu.zip", {"data/test/anatomy_test.csv": "q,a,b,c,d,A\n"})
    data = bytearray(path.read_bytes())
    for mark, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(mark) + place] |= 1  # the flag of an encrypted member
    path.write_bytes(data)
    with pytest.raises(InputError, match=r"anatomy_test\.csv cannot be unpacked: .*password"):
        imported(tmp_path, path, "mmlu")


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig"])
def test_other_unicode(encoding: str, tmp_path: Path) -> None:
    (tmp_path / "gsm8k_test.jsonl").write_bytes((json.dumps(GSM8K) + "\n").encode(encoding))
    assert imported(tmp_path, tmp_path / "gsm8k_test.jsonl", "gsm8k")[1][0].answer == "1009"


def test_wrong_files(tmp_path: Path) -> None:
    with pytest.raises(EmptyDataError, match="no questions in"):
        imported(tmp_path, packed(tmp_path / "a.zip", CMMLU), "bbh")
    with pytest.raises(InputError, match="no data at"):
        imported(tmp_path, tmp_path / "nowhere.zip", "mmlu")
    lines(tmp_path / "two" / "a.jsonl", HUMANEVAL)
    lines(tmp_path / "two" / "HumanEval.jsonl", HUMANEVAL)
    with pytest.raises(InputError, match="two questions have the id 'HumanEval/0'"):
        imported(tmp_path, tmp_path / "two", "humaneval")


class TestDraw:
    """A sample of the asked questions."""

    @staticmethod
    def questions(count: int) -> Iterator[Question]:
        for number in range(count):
            split = "dev" if number % 10 == 0 else "test"
            yield Question(benchmark="b", split=split, id=str(number), question="q", answer="a")

    def drawn(self, limit: int | None, seed: int = 0) -> list[str]:
        return [question.id for question in draw(self.questions(100), limit, seed) if question.split == "test"]

    def test_no_limit_keeps_all(self) -> None:
        assert list(draw(self.questions(100), None, 0)) == list(self.questions(100))
        assert len(self.drawn(1000)) == 90

    def test_limit_keeps_examples_and_order(self) -> None:
        assert len(self.drawn(20)) == 20
        assert self.drawn(20) == sorted(self.drawn(20), key=int)
        assert len([q for q in draw(self.questions(100), 20, 0) if q.split == "dev"]) == 10

    def test_smaller_draw_is_part_of_a_larger_one(self) -> None:
        assert set(self.drawn(10)) < set(self.drawn(30))

    def test_seed_changes_the_draw(self) -> None:
        assert self.drawn(20, seed=0) == self.drawn(20, seed=0) != self.drawn(20, seed=1)

    def test_sample_is_uniform(self) -> None:
        places = [int(identity) for identity in self.drawn(45)]
        assert 15 <= sum(place < 50 for place in places) <= 30
