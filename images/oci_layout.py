"""OCI layouts in folders: one image each, layers of equal content shared as hard links."""

import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

BLOBS = Path("blobs", "sha256")
Descriptor = dict[str, Any]
"""What a manifest says of one layer: its media type, its digest, and its size in bytes."""


def write_layout(push: Callable[[Path], object], layout: Path, others: list[Path]) -> None:
    """Write an image as a layout; blobs that another layout has are linked, and buildah does not write them again.

    Args:
        push: writes the image, its layers not compressed, into the folder that it is given.
        layout: where the layout shall be; it is there when it is complete.
        others: layouts whose blobs may be linked, on the same file system.
    """
    with tempfile.TemporaryDirectory(dir=layout.parent, prefix="writing-") as folder:
        writing = Path(folder) / "layout"
        (writing / BLOBS).mkdir(parents=True)
        for known in {path.name: path for other in others for path in (other / BLOBS).iterdir()}.values():
            os.link(known, writing / BLOBS / known.name)
        push(writing)
        for foreign in {path.name for path in (writing / BLOBS).iterdir()} - blobs_of(writing):
            (writing / BLOBS / foreign).unlink()
        writing.rename(layout)


def blobs_of(layout: Path) -> set[str]:
    """Names of the blobs that a layout's image consists of."""
    index, manifest = read_manifest(layout)
    parts = [index["manifests"][0], manifest["config"], *manifest["layers"]]
    return {part["digest"].removeprefix("sha256:") for part in parts}


def layers_by_content(layout: Path) -> dict[str, Descriptor]:
    """Layers of a layout's image, by the digest of their uncompressed content."""
    _, manifest = read_manifest(layout)
    configuration = json.loads(blob(layout, manifest["config"]["digest"]).read_text())
    return dict(zip(configuration["rootfs"]["diff_ids"], manifest["layers"], strict=True))


def read_manifest(layout: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """The index of a layout, and the manifest of its one image."""
    index = json.loads((layout / "index.json").read_text())
    return index, json.loads(blob(layout, index["manifests"][0]["digest"]).read_text())


def blob(layout: Path, digest: str) -> Path:
    """Where a layout keeps the content of a digest."""
    return layout / BLOBS / digest.removeprefix("sha256:")
