"""A preview reads the first records of each source, and notices when a source changes."""

import json
import os
from pathlib import Path

import pytest

from components.collect.collect_heads import collect_heads, count_records
from components.collect.settings import CollectSettings
from components.collect.sources.read_sources import read_sources
from components.shared.outputs.library import Library
from components.shared.rows import Instruction, Rejected


def record(number: int) -> str:
    return json.dumps({"instruction": f"say {number}", "output": "ok"}) + "\n"


@pytest.fixture
def settings(tmp_path: Path) -> CollectSettings:
    """A folder of two files, with a broken line in each."""
    folder = tmp_path / "data"
    folder.mkdir()
    for part in (0, 1):
        lines = [record(100 * part + number) for number in range(30)]
        (folder / f"{part}.jsonl").write_text("".join([*lines[:5], "{broken\n", *lines[5:]]))
    return CollectSettings.model_validate({"sources": [{"name": "one", "uri": str(folder)}]})


def test_only_the_first_records_are_read_with_those_rejected(settings: CollectSettings, tmp_path: Path) -> None:
    library = Library(str(tmp_path / "store"))
    made = collect_heads(library, settings, 40).dataset
    rows = list(library.read_rows(made, Instruction))
    assert [row.instruction for row in rows[:2]] == ["say 0", "say 1"] and rows[-1].instruction == "say 107"
    assert made.counts["records"] == 40 and len(list(library.read_rows(made, Rejected, "rejected"))) == 2
    assert made.address != read_sources(library, settings.model_copy(update={"max_rejected_share": 1.0})).address


def test_a_changed_source_is_read_again_and_an_unchanged_one_is_not(settings: CollectSettings, tmp_path: Path) -> None:
    library = Library(str(tmp_path / "store"))
    first = collect_heads(library, settings, 40).dataset
    assert collect_heads(library, settings, 40).dataset == first
    changed = tmp_path / "data" / "0.jsonl"
    changed.write_text(changed.read_text().replace("say 1", "ask 1"))
    os.utime(changed, (1, 1))
    again = collect_heads(library, settings, 40).dataset
    assert again.address != first.address
    assert [row.instruction for row in library.read_rows(again, Instruction)][1] == "ask 1"


def test_records_are_counted_up_to_a_limit(settings: CollectSettings) -> None:
    source = settings.sources[0]
    counted = [count_records(source, settings.dataset_part, most) for most in (1000, 62, 61, 10)]
    assert [(count.records, count.exact) for count in counted if count] == [
        (62, True),
        (62, True),
        (61, False),
        (10, False),
    ]
    own = count_records(source.model_copy(update={"limit": 20}), settings.dataset_part, 1000)
    assert own is not None and (own.records, own.exact) == (20, True)
