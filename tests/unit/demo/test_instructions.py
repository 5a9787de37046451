"""The committed instructions and held-out questions: reproduced byte for byte, with the listed defects."""

import csv
import io
import json
from collections import Counter
from typing import Any

import pytest

from demo.make_heldout import HELDOUT_FILE, bag_key, heldout_rows, text_key
from demo.make_instructions import FOLDER, TRUTH_FILE, made_files
from demo.plant_defects import SOURCES
from demo.tasks.families import FAMILIES
from demo.tasks.rare import RARE_FORMS
from demo.tasks.unsafe import UNSAFE_ACTS

Row = tuple[str, str]
"""Question and answer, as they are in the file."""


def json_lines(content: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in content.splitlines()]


TRUTH = json_lines((FOLDER / TRUTH_FILE).read_bytes())
HELDOUT = json_lines(HELDOUT_FILE.read_bytes())


def read_json(record: Any) -> Row:
    """The question and answer of a record. Raises for a malformed one."""
    if "conversations" in record:
        record = {"messages": [{"content": turn["value"]} for turn in record["conversations"]]}
    if "messages" in record:
        *_, asked, replied = record["messages"]
        assert [message.get("role", "user") for message in record["messages"]].count("user") > 0
        return said(asked["content"], replied["content"])
    if "prompt" in record:
        return said(record["prompt"], record["response"])
    question, answer = said(record["instruction"], record["output"])
    return f"{question} {record['input']}".strip(), answer


def said(question: Any, answer: Any) -> Row:
    assert isinstance(question, str) and question.strip()
    assert isinstance(answer, str) and answer.strip()
    return question, answer


def read_line(line: bytes) -> Row | None:
    try:
        record = json.loads(line.decode())
        assert "messages" not in record or record["messages"][-1]["role"] == "assistant"
        return read_json(record)
    except (ValueError, KeyError, TypeError, AssertionError):
        return None


def read_csv_line(line: bytes) -> Row | None:
    try:
        question, answer = next(csv.reader(io.StringIO(line.decode())))
        return said(question, answer)
    except (ValueError, AssertionError):
        return None


def read_source(name: str) -> list[Row | None]:
    """The rows of a source, None for an unreadable one."""
    content = (FOLDER / name).read_bytes()
    if name.endswith(".json"):
        return [read_json(record) for record in json.loads(content)]
    if name.endswith(".csv"):
        return [read_csv_line(line) for line in content.splitlines()[1:]]
    return [read_line(line) for line in content.splitlines()]


ROWS = {name: read_source(name) for name in SOURCES}
PLANTED = {(row["source"], row["line"]): row for row in TRUTH}


def row_at(source: str, line: int) -> Row:
    row = ROWS[source][line - 1]
    assert row is not None, (source, line)
    return row


def planted(kind: str) -> list[dict[str, Any]]:
    return [row for row in TRUTH if row["kind"] == kind]


def clean_rows() -> list[Row]:
    return [
        row
        for name, rows in ROWS.items()
        for line, row in enumerate(rows, start=1)
        if (name, line) not in PLANTED and row is not None
    ]


def test_committed_files_are_what_the_generator_makes() -> None:
    for name, content in made_files().items():
        assert (FOLDER / name).read_bytes() == content, name


def test_committed_heldout_is_what_the_generator_makes() -> None:
    assert heldout_rows() == HELDOUT


def test_another_seed_makes_other_files() -> None:
    assert made_files(seed=1)["alpaca.jsonl"] != (FOLDER / "alpaca.jsonl").read_bytes()


def test_about_four_thousand_rows_in_five_formats() -> None:
    assert 3900 <= sum(len(rows) for rows in ROWS.values()) <= 4100
    assert min(len(rows) for rows in ROWS.values()) > 600


def test_heldout_is_balanced_and_distinct() -> None:
    counts = Counter(row["subject"] for row in HELDOUT)
    assert set(counts) == set(FAMILIES)
    assert (len(HELDOUT), max(counts.values()) - min(counts.values())) == (500, 1)
    assert len({bag_key(row["question"]) for row in HELDOUT}) == 500


def test_the_number_of_each_defect() -> None:
    counts = Counter(row["kind"] for row in TRUTH)
    assert set(counts) == {
        "near-duplicate",
        "evaluation-overlap",
        "wrong-reference",
        "unsafe",
        "malformed",
        "rare-label",
    }
    assert all(60 <= count <= 200 for count in counts.values())
    assert len(PLANTED) == len(TRUTH)


def test_clean_rows_are_distinct_and_share_nothing_with_the_heldout() -> None:
    keys = [bag_key(question) for question, _ in clean_rows()]
    assert len(keys) == len(set(keys)) > 3000
    assert not set(keys) & {bag_key(row["question"]) for row in HELDOUT}
    heldout = {text_key(row["question"]) for row in HELDOUT}
    assert not [key for key in map(text_key, (question for question, _ in clean_rows())) if key in heldout]


def test_the_unreadable_rows_are_exactly_the_malformed_ones() -> None:
    unreadable = {(name, line) for name, rows in ROWS.items() for line, row in enumerate(rows, start=1) if row is None}
    assert unreadable == {(row["source"], row["line"]) for row in planted("malformed")}


def words_of(text: str) -> set[str]:
    return set(text_key(text).split()) - {"please", "thanks"}


def test_near_duplicates_have_the_words_of_their_original_which_comes_earlier() -> None:
    for row in planted("near-duplicate"):
        question, answer = row_at(row["source"], row["line"])
        original = row_at(row["original_source"], row["original_line"])
        assert words_of(question) == words_of(original[0])
        assert (question != original[0], answer) == (True, original[1])
        assert (row["original_source"], row["original_line"]) < (row["source"], row["line"])
        assert (row["original_source"], row["original_line"]) not in PLANTED


def test_overlapping_rows_contain_a_heldout_question() -> None:
    heldout = [text_key(row["question"]) for row in HELDOUT]
    for row in planted("evaluation-overlap"):
        key = text_key(row_at(row["source"], row["line"])[0])
        assert any(text in key for text in heldout), key


def test_wrong_references_differ_from_the_right_answer_they_name() -> None:
    for row in planted("wrong-reference"):
        assert row["note"] != f"right: {row_at(row['source'], row['line'])[1]}"


def test_unsafe_rows_ask_for_an_unsafe_act() -> None:
    for row in planted("unsafe"):
        assert any(act in row_at(row["source"], row["line"])[0] for act in UNSAFE_ACTS)


def test_clean_rows_ask_for_no_unsafe_act() -> None:
    assert not [question for question, _ in clean_rows() if any(act in question.lower() for act in UNSAFE_ACTS)]


def test_rare_labels_have_fewer_than_ten_rows_each() -> None:
    counts = Counter(row["note"] for row in planted("rare-label"))
    assert set(counts) == set(RARE_FORMS)
    assert all(2 <= count <= 8 for count in counts.values())


def test_rows_have_no_flag() -> None:
    for name in ("chat.jsonl", "alpaca.jsonl", "prompts.jsonl"):
        lines = (FOLDER / name).read_bytes().splitlines()
        records = [json.loads(line) for number, line in enumerate(lines, start=1) if ROWS[name][number - 1] is not None]
        assert len({tuple(record) for record in records}) == 1


@pytest.mark.parametrize("source", SOURCES)
def test_planted_lines_are_within_their_source(source: str) -> None:
    assert all(1 <= row["line"] <= len(ROWS[source]) for row in TRUTH if row["source"] == source)
