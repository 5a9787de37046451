"""Rows are tokenized once on a machine; every process and every later training maps what is there."""

import os
import time
import tracemalloc
from array import array
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from components.models.forward.example import Example
from components.shared.errors import EmptyDataError
from components.shared.outputs.library import Library
from components.shared.outputs.manifest import Manifest
from components.shared.outputs.output import Output
from components.shared.rows import Message, Scores, SftRow
from components.shared.settings import Settings
from components.shared.step import Product
from components.train.batches.examples import Examples, Kept
from components.train.batches.labelled_rows import stored_columns, with_labels
from components.train.batches.token_files import ROWS, UNUSED_SECONDS, InMemory, SharedFiles, TokenFiles, Tokenized
from components.train.batches.token_table import ROWS_PER_BATCH, token_column
from components.train.engine.token_cache import token_cache
from components.train.methods.registry import method_of, parse_train_settings
from components.train.methods.sft import IGNORED, columns_with_labels

MANY = 2 * ROWS_PER_BATCH + 3


def columns(examples: list[Example]) -> dict[str, Any]:
    return {
        "prompt_ids": [np.asarray(example.prompt) for example in examples],
        "long": [len(example.completion) > 3 for example in examples],
    }


class Tokenizing:
    """Makes examples, and counts how often."""

    def __init__(self, rows: int = MANY) -> None:
        self.rows, self.times = rows, 0

    def __call__(self, kept: Kept[Example]) -> Examples[Example]:
        self.times += 1
        if not self.rows:
            raise EmptyDataError("no row")
        for number in range(self.rows):
            kept.append(Example(array("i", [number] * (number % 5)), array("i", range(number % 7))))
        return Examples(kept, truncated=4, refused=1, refusal="row '9'")


def shared(folder: Path, writes: bool = True, log: list[str] | None = None) -> SharedFiles:
    lines = [] if log is None else log
    return SharedFiles(folder / "tokens" / "key", folder / "scratch", writes, lambda: None, lines.append)


def assert_complete(made: Tokenized, rows: int = MANY) -> None:
    assert made.counts["rows"] == rows and made.counts["rows_truncated"] == 4
    assert made.notes[-1].startswith("1 row dropped, the first: row '9'")
    ids, long, dataset = made.columns["prompt_ids"], made.columns["long"], made.columns.dataset()
    assert len(ids) == len(long) == len(dataset) == rows
    assert ids.lengths.tolist() == token_column(dataset, "prompt_ids").lengths.tolist()
    for number in (0, 4, ROWS_PER_BATCH - 1, ROWS_PER_BATCH, rows - 1):
        assert ids[number].tolist() == dataset[number]["prompt_ids"] == [number] * (number % 5)
        assert bool(long[number]) == dataset[number]["long"] == (number % 7 > 3)


@pytest.mark.parametrize("kind", ["memory", "files"])
def test_a_table_holds_what_was_put_in(kind: str, tmp_path: Path) -> None:
    files: TokenFiles = InMemory() if kind == "memory" else shared(tmp_path)
    assert_complete(files.tokens(columns, Tokenizing()))
    arranged = files.arranged({"ids": [np.array([n, n + 1], np.int32)]} for n in range(3))
    assert [ids.tolist() for ids in arranged["ids"]] == [[0, 1], [1, 2], [2, 3]]


def test_other_processes_and_later_trainings_do_not_tokenize(tmp_path: Path) -> None:
    tokenizing, log = Tokenizing(), list[str]()
    for writes in (True, False, True):
        assert_complete(shared(tmp_path, writes, log).tokens(columns, tokenizing))
    assert tokenizing.times == 1
    assert log == [f"2,003 tokenized rows read from {tmp_path}/tokens/key"]


def test_a_file_that_is_not_complete_is_made_again(tmp_path: Path) -> None:
    tokenizing = Tokenizing()
    shared(tmp_path).tokens(columns, tokenizing)
    path = tmp_path / "tokens" / "key" / ROWS
    os.truncate(path, path.stat().st_size - 1)
    assert_complete(shared(tmp_path).tokens(columns, tokenizing))
    assert tokenizing.times == 2


def test_of_two_trainings_that_tokenize_at_once_both_go_on(tmp_path: Path) -> None:
    tokenizing = Tokenizing()

    def second(kept: Kept[Example]) -> Examples[Example]:
        shared(tmp_path).tokens(columns, tokenizing)
        return tokenizing(kept)

    assert_complete(shared(tmp_path).tokens(columns, second))
    assert [path.name for path in (tmp_path / "tokens").iterdir()] == ["key"]


def test_rows_that_cannot_be_tokenized_leave_nothing(tmp_path: Path) -> None:
    with pytest.raises(EmptyDataError):
        shared(tmp_path).tokens(columns, Tokenizing(rows=0))
    assert list((tmp_path / "tokens").iterdir()) == []


def test_tokens_that_no_training_has_read_for_long_are_deleted(tmp_path: Path) -> None:
    caches = tmp_path / "tokens"
    for name, age in (("old", UNUSED_SECONDS + 60), ("young", 60.0)):
        (caches / name).mkdir(parents=True)
        os.utime(caches / name, (time.time() - age,) * 2)
    shared(tmp_path).tokens(columns, Tokenizing())
    assert sorted(path.name for path in caches.iterdir()) == ["key", "young"]


def test_labels_that_are_made_when_a_row_is_read_are_those_that_would_be_stored() -> None:
    examples = [Example(array("i", range(n % 5)), array("i", range(7, 8 + n % 3))) for n in range(ROWS_PER_BATCH + 2)]

    def build(kept: Kept[Example]) -> Examples[Example]:
        for example in examples:
            kept.append(example)
        return Examples(kept)

    table = InMemory().tokens(stored_columns, build).columns
    stored, dataset = columns_with_labels(examples), with_labels(table.dataset(), IGNORED)
    assert list(stored) == dataset.column_names
    for name, column in stored.items():
        assert [row[name] for row in dataset] == [ids.tolist() for ids in column]
    assert dataset[3] == {name: column[3].tolist() for name, column in stored.items()}


def test_a_data_set_with_labels_takes_no_memory_for_its_rows(tmp_path: Path) -> None:
    def build(kept: Kept[Example]) -> Examples[Example]:
        for _ in range(ROWS_PER_BATCH):
            kept.append(Example(array("i", range(100)), array("i", range(1000))))
        return Examples(kept)

    table = shared(tmp_path).tokens(stored_columns, build).columns
    with_labels(table.dataset(), IGNORED)  # imports what it needs
    tracemalloc.start()
    try:
        with_labels(table.dataset(), IGNORED)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 0.1 * table["input_ids"].lengths.sum() * 4


def selected(root: Path, answer: str) -> Manifest:
    prompt = (Message(role="user", content="Hi"),)
    output = Output(Library(str(root)), Product("select", 1, "selection/1"), Settings(), {})
    row = SftRow(id="1", prompt=prompt, completion=answer, origin="teacher", scores=Scores())
    output.write_rows("sft/00000", [row])
    return output.finish()


def test_what_decides_the_tokens_decides_the_folder(tmp_path: Path) -> None:
    start = tmp_path / "start"
    start.mkdir()
    for name in ("config.json", "tokenizer.json", "chat_template.jinja", "model.safetensors"):
        (start / name).write_text(name)
    first, other = selected(tmp_path / "first", "Ho"), selected(tmp_path / "other", "Hum")

    def folder(dataset: Manifest = first, method: str = "sft", **values: Any) -> Path:
        settings = parse_train_settings({"method": method, **values})
        return token_cache(dataset, method_of(settings), settings, start)

    plain = folder()
    same = [folder(learning_rate=1e-3, seed=3, epochs=9, global_batch=64)]
    others = [folder(other), folder(method="kto"), folder(max_length=64), folder(over_long="drop")]
    (start / "model.safetensors").write_text("trained")
    same.append(folder())
    (start / "chat_template.jinja").write_text("another")
    others.append(folder())
    assert set(same) == {plain}
    assert len({plain, *others}) == 1 + len(others)
