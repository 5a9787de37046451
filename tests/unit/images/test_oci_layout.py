"""Layouts share layers and still conform to the OCI image specification."""

import hashlib
import json
from pathlib import Path
from typing import Any

from images.oci_layout import blob, layers_by_content, write_layout


def digest_of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def push_as_buildah(target: Path, layers: list[bytes]) -> None:
    """Write each blob unless it is there: what buildah's push without compression to a layout does."""

    def put(content: bytes) -> dict[str, Any]:
        if not blob(target, digest_of(content)).exists():
            blob(target, digest_of(content)).write_bytes(content)
        return {"digest": digest_of(content), "size": len(content)}

    configuration = put(json.dumps({"rootfs": {"diff_ids": [digest_of(layer) for layer in layers]}}).encode())
    manifest = {"config": configuration, "layers": [put(layer) for layer in layers]}
    index = {"manifests": [{**put(json.dumps(manifest).encode()), "annotations": {"name": "x"}}]}
    (target / "index.json").write_text(json.dumps(index))


def assert_complete(layout: Path, layers: list[bytes]) -> None:
    """Every blob matches its name and its descriptor, and there are no others."""
    for file in (layout / "blobs" / "sha256").iterdir():
        assert digest_of(file.read_bytes()) == f"sha256:{file.name}"
    described = layers_by_content(layout)
    assert list(described) == [digest_of(layer) for layer in layers]
    for layer, described_as in zip(layers, described.values(), strict=True):
        file = blob(layout, described_as["digest"])
        assert file.read_bytes() == layer
        assert described_as["size"] == file.stat().st_size
    assert len(list((layout / "blobs" / "sha256").iterdir())) == len(layers) + 2


def test_a_second_image_writes_only_its_own_layer(tmp_path: Path) -> None:
    first, second = [b"base", b"packages", b"old code"], [b"base", b"packages", b"new code"]
    write_layout(lambda target: push_as_buildah(target, first), tmp_path / "one", [])
    write_layout(lambda target: push_as_buildah(target, second), tmp_path / "two", [tmp_path / "one"])
    assert_complete(tmp_path / "one", first)
    assert_complete(tmp_path / "two", second)
    shared = blob(tmp_path / "two", layers_by_content(tmp_path / "two")[digest_of(b"packages")]["digest"])
    assert shared.stat().st_nlink == 2


def test_a_layer_that_no_later_image_has_is_left_out(tmp_path: Path) -> None:
    write_layout(lambda target: push_as_buildah(target, [b"base", b"a"]), tmp_path / "one", [])
    write_layout(lambda target: push_as_buildah(target, [b"base"]), tmp_path / "two", [tmp_path / "one"])
    assert_complete(tmp_path / "two", [b"base"])


def test_a_failed_push_leaves_nothing(tmp_path: Path) -> None:
    def fail(target: Path) -> None:
        raise SystemExit("push failed")

    try:
        write_layout(fail, tmp_path / "one", [])
    except SystemExit:
        assert not list(tmp_path.iterdir())
