"""Data sets that `datasets` saved to disk, and Feather files."""

from pathlib import Path
from typing import Any

import datasets
import pyarrow
import pytest
from pyarrow import feather

from components.collect.files.records import Broken, Record
from components.collect.formats.registry import format_of
from components.collect.source_settings import Source
from components.collect.sources.open_source import open_source
from components.shared.errors import InputError

ROWS = [{"prompt": f"问 {number}", "completion": [{"role": "assistant", "content": "x"}]} for number in range(700)]


def rows(uri: Path, **changes: Any) -> list[dict[str, Any]]:
    opened = open_source(Source(name="a", uri=str(uri), **changes))
    return [item.fields for reading in opened.readings(1000) for item in reading.records() if isinstance(item, Record)]


def test_saved_data_set(tmp_path: Path) -> None:
    datasets.Dataset.from_list(ROWS).save_to_disk(str(tmp_path / "saved"), num_shards=3)
    assert rows(tmp_path / "saved") == ROWS
    # A selection is written out in its order.
    datasets.Dataset.from_list(ROWS).select([5, 3, 1]).save_to_disk(str(tmp_path / "selected"))
    assert rows(tmp_path / "selected") == [ROWS[5], ROWS[3], ROWS[1]]


def test_saved_splits_are_not_mixed(tmp_path: Path) -> None:
    parts = {"train": datasets.Dataset.from_list(ROWS[:5]), "test": datasets.Dataset.from_list(ROWS[5:8])}
    datasets.DatasetDict(parts).save_to_disk(str(tmp_path / "saved"))
    assert rows(tmp_path / "saved") == ROWS[:5]
    assert rows(tmp_path / "saved", split="test") == ROWS[5:8]
    with pytest.raises(InputError, match="has no split 'validation'"):
        rows(tmp_path / "saved", split="validation")


def test_feather(tmp_path: Path, make_file: Any) -> None:
    feather.write_feather(pyarrow.Table.from_pylist(ROWS), tmp_path / "made.feather", chunksize=100)
    assert rows(tmp_path / "made.feather") == ROWS


@pytest.mark.parametrize("data", [b"", b"not arrow at all", b"ARROW1\0\0cut"])
def test_file_that_is_not_arrow(data: bytes, make_file: Any) -> None:
    known = format_of("rows.arrow")
    assert known is not None
    with pytest.raises(InputError, match=r"rows\.arrow cannot be read as Arrow after 0 rows"):
        list(known.read(make_file("rows.arrow", data), 1000))


def test_git_lfs_pointer(make_file: Any) -> None:
    for name in ("rows.arrow", "rows.parquet"):
        known = format_of(name)
        assert known is not None
        with pytest.raises(InputError, match="is a Git LFS pointer"):
            list(known.read(make_file(name, b"version https://git-lfs.github.com/spec/v1\noid sha256:1\n"), 1000))


def test_invalid_utf8_rejects_only_its_row(make_file: Any, tmp_path: Path) -> None:
    binary = pyarrow.array([b"good", b"\xff\xfe", b"good"], pyarrow.binary())
    table = pyarrow.table({"q": pyarrow.Array.from_buffers(pyarrow.string(), 3, binary.buffers())})
    with pyarrow.OSFile(str(tmp_path / "rows.arrow"), "wb") as file, pyarrow.ipc.new_stream(file, table.schema) as out:
        out.write_table(table)
    known = format_of("rows.arrow")
    assert known is not None
    found = list(known.read(make_file("rows.arrow", (tmp_path / "rows.arrow").read_bytes()), 1000))
    assert [type(item) for item in found] == [Record, Broken, Record] and [item.line for item in found] == [1, 2, 3]
