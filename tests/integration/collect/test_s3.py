"""Sources and evaluation sets in S3."""

import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow
import pytest
from datasets import Dataset
from pyarrow import parquet

from components.collect.collect import collect_data
from components.collect.settings import CollectSettings
from components.shared.errors import InputError, StoreError
from components.shared.outputs.library import Library
from components.shared.rows import Instruction, Question
from components.shared.store.open_store import open_store

ROWS = [{"prompt": f"Count to {number}", "response": "数" * number} for number in range(1, 301)]


@pytest.fixture
def bucket(s3_server: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> str:
    """A bucket with a folder of sources and an evaluation set."""
    uri = str(s3_server.use(monkeypatch))
    store = open_store(uri)
    lines = "".join(json.dumps(row) + "\n" for row in ROWS).encode()
    store.write("raw/a/rows.jsonl.gz", gzip.compress(lines))
    store.write("raw/b.json", json.dumps(ROWS).encode())
    parquet.write_table(pyarrow.Table.from_pylist(ROWS), tmp_path / "c.parquet")
    store.upload(tmp_path / "c.parquet", "raw/c.parquet")
    store.write("rawer/not-mine.jsonl", lines)
    store.write("eval/gsm8k_test.jsonl", b'{"question": "q", "answer": "#### 3"}\n')
    return uri


def settings(bucket: str, *uris: str) -> CollectSettings:
    sources = [{"name": f"s{number}", "uri": f"{bucket}/{uri}"} for number, uri in enumerate(uris)]
    benchmarks = [{"name": "gsm8k", "uri": f"{bucket}/eval/gsm8k_test.jsonl"}]
    return CollectSettings.model_validate({"sources": sources, "benchmarks": benchmarks})


def test_everything_in_one_bucket(bucket: str) -> None:
    root = f"{bucket}/tutelage"
    collected = collect_data(Library(root), settings(bucket, "raw", "raw/b.json"))
    rows = list(Library(root).read_rows(collected.dataset, Instruction))
    assert [row.response for row in rows] == [row["response"] for row in ROWS] * 4
    files = ["s0/a/rows.jsonl.gz", "s0/b.json", "s0/c.parquet", "s1/b.json"]
    assert list(dict.fromkeys(row.source for row in rows)) == files
    assert [question.answer for question in Library(root).read_rows(collected.benchmarks, Question)] == ["3"]
    assert collect_data(Library(root), settings(bucket, "raw", "raw/b.json")) == collected


def test_same_bytes_in_a_folder_have_the_same_address(bucket: str, tmp_path: Any) -> None:
    for entry in open_store(bucket).list("raw/"):
        open_store(bucket).download(entry.key, tmp_path / entry.key)
    in_s3 = collect_data(Library(str(tmp_path / "store")), settings(bucket, "raw")).dataset
    local = settings(bucket, "raw").model_dump(mode="json")
    local["sources"][0]["uri"] = str(tmp_path / "raw")
    assert (
        collect_data(Library(str(tmp_path / "other")), CollectSettings.model_validate(local)).dataset.digest
        == in_s3.digest
    )


def test_compressed_saved_and_split_files_of_a_bucket(bucket: str, tmp_path: Path) -> None:
    store = open_store(bucket)
    lines = "".join(json.dumps(row) + "\n" for row in ROWS).encode()
    packed = pyarrow.compress(lines, codec="zstd", asbytes=True)
    for key in ("split/train.jsonl.zst", "split/test.jsonl.zst", "split/README.md"):
        store.write(key, packed)
    Dataset.from_list(ROWS).save_to_disk(str(tmp_path / "saved"), num_shards=2)
    for path in (tmp_path / "saved").iterdir():
        store.upload(path, f"saved/{path.name}")
    root = f"{bucket}/tutelage"
    collected = collect_data(Library(root), settings(bucket, "split", "saved")).dataset
    rows = list(Library(root).read_rows(collected, Instruction))
    assert [row.response for row in rows] == [row["response"] for row in ROWS] * 2
    assert {row.source for row in rows[:300]} == {"s0/train.jsonl.zst"}
    assert collected.counts["unread_files"] == 4, "the test set, the README, and what describes the saved data set"


def test_missing_data(bucket: str, tmp_path: Any) -> None:
    with pytest.raises(InputError, match=r"no data at .*/nowhere"):
        collect_data(Library(str(tmp_path)), settings(bucket, "nowhere"))
    with pytest.raises(StoreError, match="NoSuchBucket"):
        collect_data(Library(str(tmp_path)), settings(f"{bucket}-not-made", "raw"))
