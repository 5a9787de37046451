"""Slices: which are finished, and what a damaged one costs."""

from pathlib import Path

import pytest

from components.shared.errors import DamagedError
from components.shared.outputs.slice_files import SliceFiles
from components.shared.rows import Dropped
from components.shared.store.open_store import open_store


def row(number: int) -> Dropped:
    return Dropped(id=str(number), source="s", line=number, reason="r")


def test_a_slice_is_read_as_it_was_written(tmp_path: Path) -> None:
    files = SliceFiles(open_store(str(tmp_path)), ("rows", "dropped"))
    written = files.write("rows", 7, [row(1), row(2)])
    files.write_some("dropped", 7, [row(3)])
    assert files.numbers("rows") == {7}
    assert files.read("rows", 7, Dropped) == ([row(1), row(2)], written)
    (described,) = files.described(7, ("dropped", "nothing"))
    assert (described.name, described.rows) == ("dropped/00007.jsonl.gz", 1)
    files.write_some("dropped", 7, [])
    assert files.described(7, ("dropped",)) == []


def test_a_damaged_part_discards_its_slice_alone(tmp_path: Path) -> None:
    files = SliceFiles(open_store(str(tmp_path)), ("rows", "dropped"))
    for index in (0, 1):
        files.write("rows", index, [row(index)])
        files.write("dropped", index, [row(index)])
    (tmp_path / "rows" / "00000.jsonl.gz").write_bytes(b"no gzip")
    with pytest.raises(DamagedError, match=r"rows/00000\.jsonl\.gz was damaged"):
        files.read("rows", 0, Dropped)
    assert files.numbers("rows") == files.numbers("dropped") == {1}
    files.clean("dropped")
    assert files.numbers("dropped") == set() and files.numbers("rows") == {1}
