"""Layouts share layers, and stay what the OCI image specification says."""

import gzip
import hashlib
import json
from pathlib import Path
from typing import Any

from images.oci_layout import blob, layers_by_content, write_layout


def digest_of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def push_as_buildah(target: Path, layers: list[bytes]) -> None:
    """Compress each layer, unless a blob of its uncompressed digest is there: what buildah's push to a layout does."""

    def put(content: bytes) -> dict[str, Any]:
        blob(target, digest_of(content)).write_bytes(content)
        return {"digest": digest_of(content), "size": len(content)}

    def put_layer(content: bytes) -> dict[str, Any]:
        if blob(target, digest_of(content)).exists():
            return {"digest": digest_of(content), "size": 0}
        return {"mediaType": "gzip", **put(gzip.compress(content, mtime=0))}

    configuration = put(json.dumps({"rootfs": {"diff_ids": [digest_of(layer) for layer in layers]}}).encode())
    manifest = {"config": configuration, "layers": [put_layer(layer) for layer in layers]}
    index = {"manifests": [{**put(json.dumps(manifest).encode()), "annotations": {"name": "x"}}]}
    (target / "index.json").write_text(json.dumps(index))


def assert_whole(layout: Path, layers: list[bytes]) -> None:
    """Every blob has the content that its name and its descriptor say, and there is no other."""
    for file in (layout / "blobs" / "sha256").iterdir():
        assert digest_of(file.read_bytes()) == f"sha256:{file.name}"
    described = layers_by_content(layout)
    assert list(described) == [digest_of(layer) for layer in layers]
    for layer, described_as in zip(layers, described.values(), strict=True):
        file = blob(layout, described_as["digest"])
        assert gzip.decompress(file.read_bytes()) == layer
        assert described_as["size"] == file.stat().st_size
    assert len(list((layout / "blobs" / "sha256").iterdir())) == len(layers) + 2


def test_a_second_image_writes_only_its_own_layer(tmp_path: Path) -> None:
    first, second = [b"base", b"packages", b"old code"], [b"base", b"packages", b"new code"]
    write_layout(lambda target: push_as_buildah(target, first), tmp_path / "one", [])
    write_layout(lambda target: push_as_buildah(target, second), tmp_path / "two", [tmp_path / "one"])
    assert_whole(tmp_path / "one", first)
    assert_whole(tmp_path / "two", second)
    shared = blob(tmp_path / "two", layers_by_content(tmp_path / "two")[digest_of(b"packages")]["digest"])
    assert shared.stat().st_nlink == 2


def test_a_layer_that_no_later_image_has_is_left_out(tmp_path: Path) -> None:
    write_layout(lambda target: push_as_buildah(target, [b"base", b"a"]), tmp_path / "one", [])
    write_layout(lambda target: push_as_buildah(target, [b"base"]), tmp_path / "two", [tmp_path / "one"])
    assert_whole(tmp_path / "two", [b"base"])


def test_a_failed_push_leaves_nothing(tmp_path: Path) -> None:
    def fail(target: Path) -> None:
        raise SystemExit("push failed")

    try:
        write_layout(fail, tmp_path / "one", [])
    except SystemExit:
        assert not list(tmp_path.iterdir())
