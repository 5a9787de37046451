"""Tasks of two papers from their original files: QQP with its labels as words, and sonnets to continue."""

import json
import zipfile
from pathlib import Path
from typing import Any, ClassVar

import pytest
from pydantic import ValidationError

from components.collect.benchmarks.import_benchmarks import import_benchmarks
from components.collect.collect import Collected, collect_data
from components.collect.files.records import Broken, Record, Rejection
from components.collect.formats.texts import read_texts
from components.collect.settings import CollectSettings, QuestionSettings
from components.collect.source_settings import Source
from components.shared.errors import InputError
from components.shared.outputs.library import Library
from components.shared.rows import Check, Instruction, Question, Rejected
from pipelines.recipe.read_recipe import read_recipe
from pipelines.study.recipe import StudyRecipe

STUDY = Path(__file__).parents[3] / "pipelines" / "recipes" / "study-gpt2.yaml"
HEADER = "id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate"
PAIRS = [
    "7\t1\t2\tHow do I boil an egg?\tWhat is the way to boil eggs?\t1",
    '8\t3\t4\t"Red" or blue, which is warmer?\tIs red "warm?\t0',
    "9\t5\t6\tWhat is a fjord?\tWhat is a ford?\t0",
]
BROKEN = ["10\t7\t8\tHalf a question", "that went on?\tWhy?\t1", "11\t9\t10\tWhat?\tWhy?\tmaybe"]
ASKED = "Question 1: {}\nQuestion 2: {}\nDo both ask the same thing? Answer yes or no."

FIRST = [
    "A lamp was left upon the upper stair,",
    "  and all the night it leant against the dark,",
    "the moths",
    "",
    "went by",
]
SONNETS = "\n".join(
    [
        "THE POEMS",
        "",
        "by Nobody",
        "",
        "1",
        "",
        *(f"  {line}" for line in FIRST),
        "",
        "2",
        "",
        "One",
        "two",
        "three",
        "IV",
    ]
)


def glue(path: Path, *lines: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([HEADER, *lines]) + "\n")
    return path


def collected(root: Path, **source: Any) -> tuple[Library, Collected]:
    library = Library(str(root / "store"))
    limits = {"max_rejected_share": source.pop("max_rejected_share", 0.05), "holdout": source.pop("holdout", None)}
    return library, collect_data(
        library, CollectSettings.model_validate({"sources": [{"name": "s", **source}], **limits})
    )


def rows(root: Path, **source: Any) -> list[Instruction]:
    library, found = collected(root, **source)
    return list(library.read_rows(found.dataset, Instruction))


def questions(root: Path, **entry: Any) -> list[Question]:
    library = Library(str(root / "store"))
    settings = QuestionSettings.model_validate({"benchmarks": [entry]})
    return list(library.read_rows(import_benchmarks(library, settings), Question))


class TestQqp:
    """GLUE's TSV files: no quoting, a word for each label."""

    def test_every_pair_is_a_demonstration_and_a_preference(self, tmp_path: Path) -> None:
        uri = str(glue(tmp_path / "QQP" / "train.tsv", *PAIRS))
        found = rows(tmp_path, uri=uri, format="unquoted_tsv")
        assert [(row.response, row.rejected, row.desirable) for row in found] == [
            ("yes", "no", True),
            ("no", "yes", True),
            ("no", "yes", True),
        ]
        assert found[1].instruction == ASKED.format('"Red" or blue, which is warmer?', 'Is red "warm?')
        assert found[0].check == Check(kind="exact", answer="yes", ignore_punctuation=True)

    def test_malformed_lines_are_counted_and_listed(self, tmp_path: Path) -> None:
        uri = str(glue(tmp_path / "train.tsv", *BROKEN, *PAIRS))
        with pytest.raises(InputError, match=r"3 of 6 records are rejected.*2 wrong-columns.*4 columns.*1 no-answer"):
            rows(tmp_path, uri=uri, format="unquoted_tsv")
        library, found = collected(tmp_path, uri=uri, format="unquoted_tsv", max_rejected_share=0.5)
        bad = list(library.read_rows(found.dataset, Rejected, "rejected"))
        assert [(row.line, row.reason) for row in bad] == [(1, "wrong-columns"), (2, "wrong-columns"), (3, "no-answer")]
        assert "'maybe'" in bad[2].detail and found.dataset.counts["rejected_as_wrong_columns"] == 2
        (report,) = json.loads(library.read_bytes(found.dataset, "report.json"))["sources"]
        assert (report["shapes"], report["ignored_fields"], report["pairs"]) == (["qqp"], {}, 3)

    def test_read_with_quoting_it_is_never_read_wrongly(self, tmp_path: Path) -> None:
        lines = ['1\t1\t2\t"Open?\tA?\t1', '2\t1\t2\tB?\t"Shut?"\t0', "3\t1\t2\tC?\tD?\t1"]
        uri = str(glue(tmp_path / "train.tsv", *lines))
        quoted = rows(tmp_path, uri=uri, max_rejected_share=1)
        assert all("\t" not in row.instruction for row in quoted) and len(quoted) < 3
        assert len(rows(tmp_path, uri=uri, format="unquoted_tsv")) == 3

    def test_invalid_text_is_rejected(self, tmp_path: Path) -> None:
        uri = glue(tmp_path / "train.tsv", *PAIRS)
        uri.write_bytes(uri.read_bytes().replace(b"fjord", b"fj\xf8rd"))
        library, found = collected(tmp_path, uri=str(uri), format="unquoted_tsv", max_rejected_share=0.5)
        (bad,) = library.read_rows(found.dataset, Rejected, "rejected")
        assert (bad.line, bad.reason) == (3, "invalid-unicode")

    def test_windows_line_ends(self, tmp_path: Path) -> None:
        uri = glue(tmp_path / "train.tsv", *PAIRS)
        uri.write_bytes(uri.read_bytes().replace(b"\n", b"\r\n"))
        assert [row.response for row in rows(tmp_path, uri=str(uri), format="unquoted_tsv")] == ["yes", "no", "no"]

    def test_without_preferences_only_the_right_word_is_left(self, tmp_path: Path) -> None:
        uri = str(glue(tmp_path / "train.tsv", *PAIRS))
        found = rows(tmp_path, uri=uri, format="unquoted_tsv", labels="ignored")
        assert [(row.response, row.rejected) for row in found] == [("yes", ""), ("no", ""), ("no", "")]

    def test_the_study_of_gpt2_reads_the_original_files(self, tmp_path: Path) -> None:
        for name in ("train.tsv", "dev.tsv"):
            glue(tmp_path / "QQP" / name, *PAIRS)
        recipe = read_recipe(STUDY, {"data": str(tmp_path), "questions": "2"})
        assert isinstance(recipe, StudyRecipe)
        library = Library(str(tmp_path / "store"))
        found = collect_data(library, recipe.collect)
        assert [row.rejected for row in library.read_rows(found.dataset, Instruction)] == ["no", "yes", "yes"]
        asked = list(library.read_rows(found.benchmarks, Question))
        assert len(asked) == 2 and {row.benchmark for row in asked} == {recipe.primary} == {"qqp"}

    def test_the_development_set_is_asked_as_the_training_set_is_learnt(self, tmp_path: Path) -> None:
        uri = glue(tmp_path / "QQP" / "dev.tsv", *PAIRS)
        glue(tmp_path / "QQP" / "train.tsv", *BROKEN)
        with zipfile.ZipFile(tmp_path / "QQP.zip", "w") as archive:
            archive.write(uri, "QQP/dev.tsv")
            archive.writestr("QQP/test.tsv", "id\tquestion1\tquestion2\n0\tA?\tB?\n")
            archive.writestr("QQP/original/quora_duplicate_questions.tsv", HEADER + "\n")
        (tmp_path / "learnt").mkdir()
        learnt = rows(tmp_path / "learnt", uri=str(uri), format="unquoted_tsv")
        for place in ("QQP.zip", "QQP", "QQP/dev.tsv"):
            asked = questions(tmp_path, name="qqp", uri=str(tmp_path / place))
            assert [(each.id, each.answer) for each in asked] == [("qqp/7", "yes"), ("qqp/8", "no"), ("qqp/9", "no")]
            assert [(each.question, each.check) for each in asked] == [(row.instruction, row.check) for row in learnt]

    def test_a_malformed_question_of_the_development_set_is_an_error(self, tmp_path: Path) -> None:
        uri = glue(tmp_path / "dev.tsv", *PAIRS, BROKEN[0])
        with pytest.raises(InputError, match=r"dev\.tsv line 5: 4 columns, the header has 6"):
            questions(tmp_path, name="qqp", uri=str(uri))


class TestTexts:
    """Plain text with several texts."""

    def read(self, make_file: Any, text: str, limit: int = 1000) -> list[Record | Broken]:
        return list(read_texts(make_file("poems.txt", text.encode()), limit))

    def test_numbers_divide_and_name_the_texts(self, make_file: Any, capsys: pytest.CaptureFixture[str]) -> None:
        one, two = self.read(make_file, SONNETS)
        assert one == Record(1, {"id": "1", "text": "\n".join(FIRST)})
        # A number in the middle of a text is a line of it.
        assert two == Record(2, {"id": "2", "text": "One\ntwo\nthree\nIV"})
        assert "poems.txt: not read: 2 lines before the first number" in capsys.readouterr().err

    @pytest.mark.parametrize("number", ["18", "XVIII", "XVIII.", "Sonnet 18", " SONNET XVIII", "18."])
    def test_forms_of_numbers(self, number: str, make_file: Any) -> None:
        found = self.read(make_file, f"{number}\r\n\r\nA\r\nb\r\n\r\n\r\nIIX\n\nI\n")
        plain = number.rsplit(maxsplit=1)[-1].rstrip(".")
        assert [(one.fields["id"], one.fields["text"]) for one in found if isinstance(one, Record)] == [
            (plain, "A\nb\n\n\nIIX"),
            ("I", ""),
        ]

    def test_blank_lines_divide_where_there_are_no_numbers(self, make_file: Any) -> None:
        found = self.read(make_file, "\nA\nb\n\n \nSea\n1\n")
        assert found == [Record(1, {"text": "A\nb"}), Record(2, {"text": "Sea\n1"})]
        assert self.read(make_file, "\n\n") == []

    def test_what_is_around_a_book_is_not_read(self, make_file: Any, capsys: pytest.CaptureFixture[str]) -> None:
        book = "Title\n\n3\n\n*** START OF THE EBOOK ***\nI\n\nA\nb\n\n*** END OF THE EBOOK ***\n\n4\n\nLicence"
        assert self.read(make_file, book) == [Record(1, {"id": "I", "text": "A\nb"})]
        assert "is not read (to line 5 and from line 11)" in capsys.readouterr().err

    def test_a_text_that_is_too_long_is_rejected_alone(self, make_file: Any) -> None:
        found = self.read(make_file, f"1\n\n{'word ' * 30}\n\n2\n\nA\n", limit=100)
        assert isinstance(found[0], Broken) and found[0].reason == Rejection.oversize
        assert found[1] == Record(2, {"id": "2", "text": "A"})
        many = self.read(make_file, "1\n\n" + "ab\n" * 60 + "\n2\n\nA\n", limit=100)
        assert isinstance(many[0], Broken) and isinstance(many[1], Record)


class TestContinuation:
    """The first lines of a text are given."""

    SOURCE: ClassVar[dict[str, Any]] = {"format": "texts", "shape": "continuation"}

    def test_the_rest_is_the_response_and_the_reference(self, tmp_path: Path) -> None:
        (tmp_path / "poems.txt").write_text(SONNETS)
        first, second = rows(tmp_path, uri=str(tmp_path / "poems.txt"), **self.SOURCE)
        assert first.instruction == "Continue this text:\n\n" + "\n".join(FIRST[:3])
        assert first.response == "went by" and first.check == Check(kind="chrf", answer="went by")
        assert (second.instruction.splitlines()[2:], second.response) == (["One", "two", "three"], "IV")

    def test_how_it_is_asked_is_a_setting(self, tmp_path: Path) -> None:
        (tmp_path / "poems.txt").write_text(SONNETS)
        asked = {"given_lines": 1, "prompt": "{lines}"}
        first, _ = rows(tmp_path, uri=str(tmp_path / "poems.txt"), **self.SOURCE, continuation=asked)
        assert first.instruction == FIRST[0] and first.response == "\n".join(FIRST[1:])
        with pytest.raises(ValidationError, match=r"prompt must contain {lines} exactly once"):
            Source.model_validate({"name": "s", "uri": "x", "continuation": {"prompt": "Go on."}})

    def test_the_setting_leaves_the_addresses_of_other_sources(self) -> None:
        plain = Source.model_validate({"name": "s", "uri": "x"})
        assert "continuation" not in plain.key_material()
        changed = Source.model_validate({"name": "s", "uri": "x", "continuation": {"given_lines": 4}})
        assert changed.key_material()["continuation"]["given_lines"] == 4

    def test_a_text_without_a_rest_is_rejected(self, tmp_path: Path) -> None:
        (tmp_path / "poems.txt").write_text(SONNETS)
        source = {"uri": str(tmp_path / "poems.txt"), **self.SOURCE, "continuation": {"given_lines": 4}}
        with pytest.raises(InputError, match=r"2 of 2 records are rejected"):
            rows(tmp_path, **source, max_rejected_share=0.5)

    def test_the_reason_counts_the_lines(self, tmp_path: Path) -> None:
        (tmp_path / "poems.txt").write_text("1\n\nOne\n\n2\n\n3\n\na\nb\nc\nd\n")
        source = {"uri": str(tmp_path / "poems.txt"), **self.SOURCE}
        library, found = collected(tmp_path, **source, max_rejected_share=0.9)
        bad = list(library.read_rows(found.dataset, Rejected, "rejected"))
        assert [row.detail for row in bad] == [f"the text has {n}, of which 3 are given" for n in ("1 line", "0 lines")]

    def test_texts_are_read_so_only_where_the_shape_is_named(self, tmp_path: Path) -> None:
        (tmp_path / "corpus.jsonl").write_text(json.dumps({"text": "\n".join("abcd")}) + "\n")
        with pytest.raises(InputError, match="unknown-shape"):
            rows(tmp_path, uri=str(tmp_path / "corpus.jsonl"))
        (row,) = rows(tmp_path, uri=str(tmp_path / "corpus.jsonl"), shape="continuation")
        assert row.response == "d"

    def test_held_out_sonnets_are_asked_as_the_others_are_learnt(self, tmp_path: Path) -> None:
        (tmp_path / "held_out.txt").write_text(SONNETS)
        learnt = rows(tmp_path, uri=str(tmp_path / "held_out.txt"), **self.SOURCE)
        asked = questions(tmp_path, name="sonnets", uri=str(tmp_path / "held_out.txt"))
        assert [each.id for each in asked] == ["sonnets/1", "sonnets/2"]
        assert [(each.question, each.answer) for each in asked] == [(row.instruction, row.response) for row in learnt]
        own = questions(tmp_path, name="own", uri=str(tmp_path / "held_out.txt"), **self.SOURCE)
        assert [(each.id, each.check) for each in own] == [(str(row.line), row.check) for row in learnt]

    def test_a_held_out_file_without_the_rest_is_an_error(self, tmp_path: Path) -> None:
        (tmp_path / "held_out.txt").write_text("132\n\nOne\ntwo\nthree\n")
        with pytest.raises(InputError, match=r"held_out\.txt line 3: the text has 3 lines, of which 3 are given"):
            questions(tmp_path, name="sonnets", uri=str(tmp_path / "held_out.txt"))

    def test_sonnets_can_be_held_out_of_one_file(self, tmp_path: Path) -> None:
        poems = "".join(f"{number}\n\nA{number}\nb\nc\nd {number}\n\n" for number in range(1, 41))
        (tmp_path / "poems.txt").write_text(poems)
        holdout = {"share": 0.25, "unit": "instruction"}
        library, found = collected(tmp_path, uri=str(tmp_path / "poems.txt"), **self.SOURCE, holdout=holdout)
        kept = list(library.read_rows(found.dataset, Instruction))
        held = list(library.read_rows(found.benchmarks, Question))
        assert len(kept) + len(held) == 40 and 2 <= len(held) <= 20
        assert {row.response for row in kept}.isdisjoint(each.answer for each in held)
