"""The behaviour that steps rely on, in every kind of store."""

import os
import threading
from pathlib import Path

import pytest

from components.shared.errors import ExistsError, NotFoundError
from components.shared.store.open_store import open_store
from components.shared.store.store import Entry, Store
from tests.deadlines import SECONDS, joined

BIG = 12 << 20


def test_bytes_come_back(store: Store) -> None:
    data = "mixed: 中文, \0 and \xff".encode()
    store.write("a/b.bin", data)
    assert store.read("a/b.bin") == data
    assert store.exists("a/b.bin") and not store.exists("a") and not store.exists("a/c.bin")
    store.write("empty", b"")
    assert store.read("empty") == b"" and list(store.read_chunks("empty")) == []


def test_write_replaces(store: Store) -> None:
    store.write("key", b"a long first value")
    store.write("key", b"second")
    assert store.read("key") == b"second"


def test_conditional_write_keeps_the_first(store: Store) -> None:
    store.write("key", b"first", only_if_absent=True)
    with pytest.raises(ExistsError):
        store.write("key", b"second", only_if_absent=True)
    assert store.read("key") == b"first"
    store.delete("key")
    store.write("key", b"third", only_if_absent=True)
    assert store.read("key") == b"third"


def test_of_many_conditional_writers_one_wins(root: str) -> None:
    stores, winners, gate = [open_store(root) for _ in range(8)], [], threading.Barrier(8)

    def write(number: int) -> None:
        gate.wait(SECONDS)
        try:
            stores[number].write("key", str(number).encode(), only_if_absent=True)
            winners.append(number)
        except ExistsError:
            pass

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    joined(*threads)
    assert len(winners) == 1
    assert stores[0].read("key") == str(winners[0]).encode()


def test_list_is_sorted_and_below_the_prefix(store: Store) -> None:
    keys = ["b", "a/2", "a/10", "a/1", "a.b", "ab/1", "中"]
    for key in keys:
        store.write(key, key.encode())
    assert list(store.list()) == [Entry(key, len(key.encode())) for key in sorted(keys)]
    assert [entry.key for entry in store.list("a/")] == ["a/1", "a/10", "a/2"]
    assert [entry.key for entry in store.list("a/1")] == ["a/1", "a/10"]
    assert [entry.key for entry in store.list("a")] == ["a.b", "a/1", "a/10", "a/2", "ab/1"]
    assert list(store.list("nothing/here/")) == []


def test_list_of_nothing_is_empty(store: Store) -> None:
    assert list(store.list()) == []
    assert list(store.at("not/there").list()) == []


def test_list_goes_past_one_page(store: Store) -> None:
    for number in range(1005):
        store.write(f"many/{number:04d}", b"")
    assert [entry.key for entry in store.list("many/")] == [f"many/{number:04d}" for number in range(1005)]


def test_deeper_store_sees_its_own_keys(store: Store) -> None:
    deeper = store.at("x").at("y")
    deeper.write("key", b"data")
    assert store.read("x/y/key") == b"data"
    assert [entry.key for entry in deeper.list()] == ["key"]
    assert deeper.uri == f"{store.uri}/x/y"
    assert open_store(deeper.uri).read("key") == b"data"


def test_absent_objects(store: Store, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="missing"):
        store.read("missing")
    with pytest.raises(NotFoundError, match="missing"):
        list(store.read_chunks("missing"))
    with pytest.raises(NotFoundError, match="missing"):
        store.download("missing", tmp_path / "copy")
    assert list(tmp_path.glob("copy*")) == [] and list(tmp_path.glob(".partial*")) == []
    store.delete("missing")
    store.write("key", b"data")
    store.delete("key")
    assert not store.exists("key")


def test_large_file_goes_up_and_down(store: Store, tmp_path: Path) -> None:
    source, copy = tmp_path / "source.bin", tmp_path / "deep" / "er" / "copy.bin"
    source.write_bytes(os.urandom(BIG))
    store.upload(source, "model/weights.safetensors")
    assert list(store.list()) == [Entry("model/weights.safetensors", BIG)]
    store.download("model/weights.safetensors", copy)
    assert copy.read_bytes() == source.read_bytes()
    assert sorted(path.name for path in copy.parent.iterdir()) == ["copy.bin"]


def test_chunks_are_bounded(store: Store) -> None:
    data = os.urandom(1_000_000)
    store.write("key", data)
    chunks = list(store.read_chunks("key", chunk_bytes=65_536))
    assert b"".join(chunks) == data and max(map(len, chunks)) <= 65_536


def test_readers_never_see_half_an_object(root: str) -> None:
    writer, reader, ended = open_store(root), open_store(root), threading.Event()
    values = [bytes([number]) * 300_000 for number in range(8)]
    writer.write("key", values[0])

    def rewrite() -> None:
        for value in values * 4:
            writer.write("key", value)
        ended.set()

    thread = threading.Thread(target=rewrite)
    thread.start()
    seen = 0
    while not ended.is_set():
        data = reader.read("key")
        assert len(data) == 300_000 and len(set(data)) == 1
        seen += 1
    joined(thread)
    assert seen > 3
