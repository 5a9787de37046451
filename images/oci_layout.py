"""OCI layouts in folders: one image each, layers of equal content shared as hard links."""

import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

BLOBS = Path("blobs", "sha256")
Descriptor = dict[str, Any]
"""What a manifest says of one layer: its media type, its digest, and its size in bytes."""


def write_layout(push: Callable[[Path], object], layout: Path, others: list[Path]) -> None:
    """Write an image as a layout, its layers compressed; those that another layout has are linked instead.

    buildah knows a layer by the digest of its uncompressed content, which no compressed layout has. An empty file of
    that name keeps it from compressing the layer again; afterwards the known layer takes its place in the manifest.

    Args:
        push: writes the image into the folder that it is given.
        layout: where the layout shall be; it is there when it is whole.
        others: layouts whose layers may be linked, on the same file system.
    """
    known = {content: (other, layer) for other in others for content, layer in layers_by_content(other).items()}
    with tempfile.TemporaryDirectory(dir=layout.parent, prefix="writing-") as folder:
        writing = Path(folder) / "layout"
        (writing / BLOBS).mkdir(parents=True)
        for content in known:
            blob(writing, content).touch()
        push(writing)
        for content in known:
            blob(writing, content).unlink()
        put_known_layers(writing, known)
        writing.rename(layout)


def put_known_layers(layout: Path, known: Mapping[str, tuple[Path, Descriptor]]) -> None:
    """Link the layers that buildah left out, and write the manifest and the index that name them."""
    index, manifest = read_manifest(layout)
    for place, layer in enumerate(manifest["layers"]):
        if layer["digest"] in known:
            other, compressed = known[layer["digest"]]
            os.link(blob(other, compressed["digest"]), blob(layout, compressed["digest"]))
            manifest["layers"][place] = compressed
    content = json.dumps(manifest).encode()
    blob(layout, index["manifests"][0]["digest"]).unlink()
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    blob(layout, digest).write_bytes(content)
    index["manifests"][0] |= {"digest": digest, "size": len(content)}
    (layout / "index.json").write_text(json.dumps(index))


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
