"""Memory does not grow with the data."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow
import pytest
from pyarrow import parquet

PROGRAM = """
import resource, sys
from components.shared.outputs.library import Library
from components.collect.sources.read_sources import read_sources
from components.collect.settings import DatasetSettings
store, *files = sys.argv[1:]
for file in files:
    settings = DatasetSettings.model_validate({"sources": [{"name": "a", "uri": file}]})
    manifest = read_sources(Library(store), settings)
    print(int(manifest.counts["rows"]), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""
"""Reads the files one after the other; after each, prints its rows and the peak of memory so far."""
SMALL, LARGE = 12_000, 36_000


def rows(count: int) -> Iterator[dict[str, str]]:
    for number in range(count):
        yield {"question": f"What is {number} plus {number}? " + "Think. " * 40, "answer": str(2 * number)}


def as_jsonl(path: Path, count: int) -> None:
    with path.open("w") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows(count))


def as_json(path: Path, count: int) -> None:
    with path.open("w") as file:
        file.writelines(("[" if not place else ",") + json.dumps(row) for place, row in enumerate(rows(count)))
        file.write("]")


def as_csv(path: Path, count: int) -> None:
    with path.open("w") as file:
        file.write("question,answer\n")
        file.writelines(f'"{row["question"]}",{row["answer"]}\n' for row in rows(count))


def as_parquet(path: Path, count: int) -> None:
    schema = pyarrow.schema([("question", pyarrow.string()), ("answer", pyarrow.string())])
    with parquet.ParquetWriter(path, schema) as writer:
        for _ in range(count // 4_000):
            writer.write_table(pyarrow.Table.from_pylist(list(rows(4_000)), schema))


def as_wrapped_json(path: Path, count: int) -> None:
    with path.open("w") as file:
        file.write('{"version": 1, "data": ')
        file.writelines(("[" if not place else ",") + json.dumps(row) for place, row in enumerate(rows(count)))
        file.write('], "license": "mit"}')


def as_zstd(path: Path, count: int) -> None:
    with pyarrow.CompressedOutputStream(str(path), "zstd") as file:
        for row in rows(count):
            file.write((json.dumps(row) + "\n").encode())


def as_arrow(path: Path, count: int) -> None:
    schema = pyarrow.schema([("question", pyarrow.string()), ("answer", pyarrow.string())])
    with pyarrow.OSFile(str(path), "wb") as file, pyarrow.ipc.new_stream(file, schema) as out:
        for _ in range(count // 4_000):
            out.write_table(pyarrow.Table.from_pylist(list(rows(4_000)), schema))


WRITERS: dict[str, Callable[[Path, int], None]] = {
    "jsonl": as_jsonl,
    "json": as_json,
    "csv": as_csv,
    "parquet": as_parquet,
    "wrapped.json": as_wrapped_json,
    "jsonl.zst": as_zstd,
    "arrow": as_arrow,
}


@pytest.mark.parametrize("kind", WRITERS)
def test_three_times_the_rows_take_the_same_memory(kind: str, tmp_path: Path) -> None:
    counts = (SMALL, LARGE)
    files = [tmp_path / f"{count}.{kind}" for count in counts]
    for file, count in zip(files, counts, strict=True):
        WRITERS[kind](file, count)
    command = [sys.executable, "-c", PROGRAM, str(tmp_path / "store"), *map(str, files)]
    ended = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[3], timeout=600)
    assert ended.returncode == 0, ended.stderr
    collected, peaks = zip(*(map(int, line.split()) for line in ended.stdout.splitlines()), strict=True)
    assert collected == counts
    assert peaks[1] - peaks[0] < 25, f"MB for {SMALL} and {LARGE} rows: {peaks}"
