"""The manifest describes an output, and its digest identifies the content."""

import json
from pathlib import Path

import pytest

from components.publish.lineage.lineage import trace
from components.shared.errors import DamagedError, InputError, NotFoundError
from components.shared.outputs.digest import canonical
from components.shared.outputs.library import Library
from components.shared.outputs.manifest import (
    FORMAT,
    Cost,
    Manifest,
    Parent,
    Shard,
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
            Shard(name="rows/0", rows=2, bytes=10, digest="sha256:aa"),
            Shard(name="report.json", bytes=2, digest="sha256:bb"),
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
    def with_times(digest: str) -> Manifest:
        times = Shard(name="report.json", bytes=2, digest=digest, record=True)
        return manifest(shards=(Shard(name="rows/0", rows=2, bytes=10, digest="sha256:aa"), times))

    assert with_times("1 second").digest == with_times("2 seconds").digest != manifest().digest


@pytest.mark.parametrize(
    "change",
    [
        {"content": "labelled/2"},
        {"shards": (Shard(name="rows/0", bytes=10, digest="sha256:aa"),)},
        {
            "shards": (
                Shard(name="rows/0", bytes=10, digest="sha256:ab"),
                Shard(name="report.json", bytes=2, digest="sha256:bb"),
            )
        },
        {
            "shards": (
                Shard(name="rows/1", bytes=10, digest="sha256:aa"),
                Shard(name="report.json", bytes=2, digest="sha256:bb"),
            )
        },
    ],
)
def test_digest_changes_with_the_content(change: dict[str, object]) -> None:
    assert manifest(**change).digest != manifest().digest


def test_shard_by_name() -> None:
    assert manifest().shard("report.json").digest == "sha256:bb"
    with pytest.raises(InputError) as caught:
        manifest().shard("rows/9")
    assert caught.value.allowed == ("rows/0", "report.json")


def test_output_without_manifest_is_not_complete(tmp_path: Path) -> None:
    assert Library(str(tmp_path)).find("curate/1") is None
    with pytest.raises(NotFoundError, match=r"lacks manifest\.json"):
        Library(str(tmp_path)).load("curate/1")


@pytest.mark.parametrize("data", [b"", b"{", b"{}", b"[]", b"\xff"])
def test_damaged_manifest(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "curate").mkdir()
    (tmp_path / "curate" / "manifest.json").write_bytes(data)
    with pytest.raises(DamagedError, match="damaged") as caught:
        Library(str(tmp_path)).find("curate")
    assert str(tmp_path) in caught.value.problem


def test_canonical_json_does_not_depend_on_order() -> None:
    assert canonical({"b": [1, "中"], "a": None}) == canonical({"a": None, "b": [1, "中"]})
    assert canonical({"a": "中"}) == '{"a":"中"}'.encode()


def test_parents_from_manifests_and_references() -> None:
    hub = Parent(address="Qwen/Qwen2-0.5B-Instruct", digest="dd")
    assert parents_of({"model": hub, "data": manifest()}) == {"data": manifest().parent, "model": hub}


FORMAT_1 = """{
 "format": 1,
 "step": "curate",
 "step_version": 2,
 "address": "curate/0123456789abcdef",
 "content": "labelled/1",
 "shards": [
  {"name": "report.json", "rows": 0, "bytes": 2, "sha256": "%(b)s", "record": false},
  {"name": "rows/00000.jsonl.gz", "rows": 2, "bytes": 10, "sha256": "%(a)s", "record": false},
  {"name": "times.json", "rows": 0, "bytes": 5, "sha256": "%(c)s", "record": true}
 ],
 "settings": {"distance": 3},
 "parents": {"instructions": {"address": "collect/00000000000000aa", "digest": "%(d)s"}},
 "versions": {"tutelage": "0.1.0"},
 "counts": {"rows": 2.0},
 "cost": {"seconds": 1.5, "tokens_in": 0, "tokens_out": 0, "price": 0.0, "currency": ""},
 "created": "2026-01-01T00:00:00+00:00"
}""" % {letter: letter * 64 for letter in "abcd"}
"""As the first versions of Tutelage wrote it, byte for byte."""
DIGEST_OF_FORMAT_1 = "3c057da56f24b7d5269ae1b5c46c6a84795133aca2734c7ef368b687a53c3742"
"""What those versions computed: SHA-256 of the canonical JSON of the content and the pairs (name, sha256)."""


def in_format_1(address: str, content: str, letter: str, parents: dict[str, dict[str, str]]) -> str:
    shard = {"name": "rows/00000.jsonl.gz", "rows": 1, "bytes": 1, "sha256": letter * 64, "record": False}
    changes = {"address": address, "step": address.split("/", maxsplit=1)[0], "content": content, "shards": [shard]}
    return json.dumps(json.loads(FORMAT_1) | changes | {"parents": parents})


def put(root: Path, address: str, text: str) -> None:
    (root / address).mkdir(parents=True)
    (root / address / "manifest.json").write_text(text)


def test_a_manifest_of_format_1_is_read_and_has_the_digest_that_it_had() -> None:
    old = parse_manifest(FORMAT_1.encode(), where="curate/0123456789abcdef")
    assert old.format == 1
    assert old.digest == f"sha256:{DIGEST_OF_FORMAT_1}"
    assert [shard.digest for shard in old.shards] == [f"sha256:{letter * 64}" for letter in "bac"]
    assert old.parents["instructions"].digest == f"sha256:{'d' * 64}"


def test_the_same_output_has_the_same_digest_in_both_formats() -> None:
    old = parse_manifest(FORMAT_1.encode(), where="here")
    new = parse_manifest(old.model_copy(update={"format": FORMAT}).model_dump_json().encode(), where="here")
    assert new.digest == old.digest
    assert "sha256" not in json.loads(new.model_dump_json())["shards"][0]


def test_lineage_over_outputs_of_both_formats(tmp_path: Path) -> None:
    """An old store: data of format 1, whose digests name no algorithm, and a model made of it today."""
    collected, curated = "collect/00000000000000aa", "curate/00000000000000bb"
    put(tmp_path, collected, in_format_1(collected, "instruction/1", "a", {}))
    library = Library(str(tmp_path))
    bare = library.load(collected).digest.removeprefix("sha256:")
    put(tmp_path, curated, in_format_1(curated, "labelled/1", "b", {"x": {"address": collected, "digest": bare}}))
    model = manifest(address="train/00000000000000cc", step="train", parents=parents_of({"y": library.load(curated)}))
    put(tmp_path, model.address, model.model_dump_json())
    lineage = trace(library, library.load(model.address))
    assert list(lineage.manifests) == [collected, curated, model.address]
    assert not lineage.outside


def test_a_manifest_of_a_later_format_is_refused(tmp_path: Path) -> None:
    put(tmp_path, "curate/1", FORMAT_1.replace('"format": 1', '"format": 3'))
    with pytest.raises(DamagedError, match="format: Input should be 1 or 2") as caught:
        Library(str(tmp_path)).find("curate/1")
    assert "the version of Tutelage that wrote it" in caught.value.remedy
