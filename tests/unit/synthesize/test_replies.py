"""Which replies are kept, and what another run must ask again."""

import gzip
from pathlib import Path

import pytest

from components.models.generators.generator import Reply
from components.shared.store.open_store import open_store
from components.synthesize.replies import ReplyShards


def good(key: str) -> Reply:
    return Reply(key=key, text=f"text {key}")


def failed(key: str) -> Reply:
    return Reply(key=key, text="why", finish="error")


@pytest.fixture
def shards(tmp_path: Path) -> ReplyShards:
    return ReplyShards(open_store(str(tmp_path)), "teacher")


def test_a_finished_chunk_is_done_and_its_parts_are_gone(shards: ReplyShards, tmp_path: Path) -> None:
    shards.append(7, [good("a")])
    assert shards.done() == set()
    assert set(shards.known(7)) == {"a"}
    shards.finish(7, [good("b"), good("a")])
    assert shards.done() == {7}
    assert list(shards.read(7)) == ["b", "a"]
    assert not list(tmp_path.glob("parts/**/*.gz"))


def test_a_chunk_with_failures_is_asked_again_for_those_alone(shards: ReplyShards) -> None:
    shards.finish(0, [good("a"), failed("b")])
    assert shards.done() == set()
    assert set(shards.known(0)) == {"a"}
    assert shards.read(0)["b"].finish == "error"
    shards.finish(0, [good("a"), good("b")])
    assert shards.done() == {0}
    assert shards.read(0)["b"].finish == "stop"


def test_origins_and_chunks_do_not_mix(shards: ReplyShards, tmp_path: Path) -> None:
    student = ReplyShards(open_store(str(tmp_path)), "student")
    shards.append(1, [good("a")])
    student.finish(2, [good("b")])
    assert (shards.known(2), student.known(1), shards.done(), student.done()) == ({}, {}, set(), {2})


@pytest.mark.parametrize(
    "damage",
    [b"", b"rubbish", gzip.compress(b"{}\n", mtime=0), gzip.compress(b"x" * 1000, mtime=0)[:20]],
    ids=["empty", "rubbish", "no reply", "cut"],
)
def test_a_damaged_part_is_set_aside(shards: ReplyShards, tmp_path: Path, damage: bytes) -> None:
    shards.append(3, [good("a")])
    shards.append(3, [good("b")])
    path = sorted(tmp_path.glob("parts/teacher/00003/*.gz"))[0]
    path.write_bytes(damage)
    known = shards.known(3)
    assert len(known) == 1
    assert set(known) < {"a", "b"}
