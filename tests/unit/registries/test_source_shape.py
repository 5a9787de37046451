"""A made-up shape, container format and importer, each added by its registry alone, read real files."""

import json
from pathlib import Path

import pytest

from components.collect.benchmarks.import_benchmarks import import_benchmarks
from components.collect.formats.registry import FORMATS
from components.collect.importers.registry import IMPORTERS
from components.collect.settings import DatasetSettings, QuestionSettings
from components.collect.shapes.registry import SHAPES
from components.collect.sources.read_sources import read_sources
from components.shared.outputs.library import Library
from components.shared.rows import Instruction, Question
from tests.unit.registries.made_up.importer import IMPORTER
from tests.unit.registries.made_up.source_format import FORMAT
from tests.unit.registries.made_up.source_shape import SHAPE


def collected(root: Path, source: Path) -> list[tuple[str, str]]:
    library = Library(str(root / "store"))
    settings = DatasetSettings.model_validate({"sources": [{"name": "mine", "uri": str(source)}]})
    rows = library.read_rows(read_sources(library, settings), Instruction)
    return [(row.instruction, row.response) for row in rows]


def test_shape(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SHAPES, SHAPE.name, SHAPE)
    source = tmp_path / "talk.jsonl"
    source.write_text(json.dumps({"dialogue": "What is 1 + 1?\n2"}) + "\n")
    assert collected(tmp_path, source) == [("What is 1 + 1?", "2")]


def test_format(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SHAPES, SHAPE.name, SHAPE)
    monkeypatch.setitem(FORMATS, FORMAT.name, FORMAT)
    source = tmp_path / "talk.pairs"
    source.write_text("dialogue=What is 2 + 2?|4\n")
    assert collected(tmp_path, source) == [("What is 2 + 2?", "4")]


def test_importer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(IMPORTERS, IMPORTER.name, IMPORTER)
    original, library = tmp_path / "quiz.txt", Library(str(tmp_path / "store"))
    original.write_text("What is 3 + 3? 6\n")
    settings = QuestionSettings.model_validate({"benchmarks": [{"name": "quiz", "uri": str(original)}]})
    (question,) = library.read_rows(import_benchmarks(library, settings), Question)
    assert (question.question, question.answer) == ("What is 3 + 3?", "6")
