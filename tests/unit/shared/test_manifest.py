"""The manifest says what an output is; its digest, what it holds."""

from pathlib import Path

import pytest

from components.shared.errors import DamagedError, InputError, NotFoundError
from components.shared.manifest import (
    Cost,
    Manifest,
    Parent,
    Shard,
    canonical,
    find_manifest,
    load_manifest,
    parents_of,
    parse_manifest,
)


def manifest(**changes: object) -> Manifest:
    facts: dict[str, object] = {
        "step": "curate",
        "step_version": 1,
        "address": "curate/0123456789abcdef",
        "content": "labelled/1",
        "shards": (
            Shard(name="rows/0", rows=2, bytes=10, sha256="aa"),
            Shard(name="report.json", bytes=2, sha256="bb"),
        ),
        "settings": {"distance": 3},
        "parents": {"dataset": Parent(address="collect/1", digest="cc")},
        "versions": {"tutelage": "0.1.0"},
        "counts": {"rows": 2},
        "cost": Cost(seconds=1.5),
        "created": "2026-01-01T00:00:00+00:00",
    }
    return Manifest.model_validate(facts | changes)


def test_manifest_survives_json() -> None:
    assert parse_manifest(manifest().model_dump_json().encode(), where="here") == manifest()


def test_digest_is_of_the_content_alone() -> None:
    same = manifest(cost=Cost(seconds=99), created="later", address="curate/other", counts={}, versions={}, settings={})
    assert same.digest == manifest().digest
    assert manifest(shards=tuple(reversed(manifest().shards))).digest == manifest().digest


def test_records_of_the_making_are_not_in_the_digest() -> None:
    def with_times(sha256: str) -> Manifest:
        times = Shard(name="report.json", bytes=2, sha256=sha256, record=True)
        return manifest(shards=(Shard(name="rows/0", rows=2, bytes=10, sha256="aa"), times))

    assert with_times("1 second").digest == with_times("2 seconds").digest != manifest().digest


@pytest.mark.parametrize(
    "change",
    [
        {"content": "labelled/2"},
        {"shards": (Shard(name="rows/0", bytes=10, sha256="aa"),)},
        {"shards": (Shard(name="rows/0", bytes=10, sha256="ab"), Shard(name="report.json", bytes=2, sha256="bb"))},
        {"shards": (Shard(name="rows/1", bytes=10, sha256="aa"), Shard(name="report.json", bytes=2, sha256="bb"))},
    ],
)
def test_digest_changes_with_the_content(change: dict[str, object]) -> None:
    assert manifest(**change).digest != manifest().digest


def test_shard_by_name() -> None:
    assert manifest().shard("report.json").sha256 == "bb"
    with pytest.raises(InputError) as caught:
        manifest().shard("rows/9")
    assert caught.value.allowed == ("rows/0", "report.json")


def test_output_without_manifest_is_not_whole(tmp_path: Path) -> None:
    assert find_manifest(str(tmp_path), "curate/1") is None
    with pytest.raises(NotFoundError, match=r"has no manifest\.json"):
        load_manifest(str(tmp_path), "curate/1")


@pytest.mark.parametrize("data", [b"", b"{", b"{}", b"[]", b"\xff"])
def test_damaged_manifest(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "curate").mkdir()
    (tmp_path / "curate" / "manifest.json").write_bytes(data)
    with pytest.raises(DamagedError, match="damaged") as caught:
        find_manifest(str(tmp_path), "curate")
    assert str(tmp_path) in caught.value.problem


def test_canonical_json_does_not_depend_on_order() -> None:
    assert canonical({"b": [1, "中"], "a": None}) == canonical({"a": None, "b": [1, "中"]})
    assert canonical({"a": "中"}) == '{"a":"中"}'.encode()


def test_parents_from_manifests_and_references() -> None:
    hub = Parent(address="Qwen/Qwen2-0.5B-Instruct", digest="dd")
    assert parents_of({"model": hub, "data": manifest()}) == {"data": manifest().parent, "model": hub}
