"""Images and containers in the node's containerd."""

import hashlib
import io
import json
import tarfile
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.cluster.node.commands import Argument, run
from tests.cluster.node.errors import NodeError
from tests.cluster.node.places import CONTAINERD_SOCKET, STATE

NAME_ANNOTATIONS = ("io.containerd.image.name", "org.opencontainers.image.ref.name")
"""Where an archive says what its image is called; the second may hold a bare tag."""

IMPORTED = "localhost/tutelage-node/imported"
"""The name, by digest, of an image that has just been imported."""

USER = "65532:65532"
LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar"
CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"


def ctr(*arguments: Argument) -> str:
    """containerd's client, in the namespace that Kubernetes uses."""
    return run(["ctr", "--address", CONTAINERD_SOCKET, "--namespace", "k8s.io", *arguments])


def answers() -> bool:
    """Whether containerd listens."""
    if not CONTAINERD_SOCKET.exists():
        return False
    try:
        ctr("version")
    except NodeError:
        return False
    return True


def images() -> dict[str, str]:
    """Digest of each image, by name."""
    rows = [line.split() for line in ctr("images", "ls").splitlines()[1:]]
    return {row[0]: row[2] for row in rows if len(row) > 2}


def load_archive(archive: Path, name: str = "") -> str:
    """Import an image from an OCI archive, unless the same one is present; returns its name.

    `name` is needed where the archive does not hold a full one.

    Raises:
        NodeError: it is not an OCI archive of one image, or lacks a name.
    """
    manifest = _only_manifest(archive)
    annotations = manifest.get("annotations", {})
    named = name or next((annotations[key] for key in NAME_ANNOTATIONS if "/" in annotations.get(key, "")), "")
    if not named:
        raise NodeError(f"{archive} does not say what its image is called: name it after the archive")
    if images().get(named) != manifest["digest"]:
        # Whatever name containerd reads from the archive, `named` is the one that pods will use.
        ctr("images", "import", "--digests", "--base-name", IMPORTED, archive)
        imported = f"{IMPORTED}@{manifest['digest']}"
        ctr("images", "tag", "--force", imported, named)
        ctr("images", "rm", imported)
    return named


def wrap_program(program: Path, name: str, path: str) -> None:
    """Make an image that holds one static program at `path`, and import it, unless the name is present."""
    if name in images():
        return
    with tempfile.NamedTemporaryFile(dir=STATE, suffix=".tar") as file:
        _write_archive(Path(file.name), name, path, program.read_bytes())
        load_archive(Path(file.name))


def remove_containers() -> int:
    """Remove all containers that containerd remembers, with their layers; returns how many there were."""
    found = ctr("containers", "ls", "--quiet").split()
    for container in found:
        ctr("containers", "rm", container)
    for snapshot in _layers_of_containers():
        ctr("snapshots", "rm", snapshot)
    return len(found)


def _layers_of_containers() -> list[str]:
    """Layers that containers write to. Those that an interrupted import was extracting are removed by containerd."""
    rows = [line.split() for line in ctr("snapshots", "ls").splitlines()[1:]]
    return [row[0] for row in rows if row[-1] == "Active" and not row[0].startswith("extract-")]


def container_of(namespace: str, pod: str, container: str = "") -> str:
    """containerd's id of a pod's container; without a name, of the first that is not a sandbox.

    Raises:
        NodeError: none is running.
    """
    wanted = {"io.kubernetes.pod.namespace": namespace, "io.kubernetes.pod.name": pod}
    wanted |= {"io.kubernetes.container.name": container} if container else {"io.cri-containerd.kind": "container"}
    filters = ",".join(f'labels."{label}"=="{value}"' for label, value in wanted.items())
    running = {line.split()[0] for line in ctr("tasks", "ls").splitlines() if line.endswith("RUNNING")}
    found = [one for one in ctr("containers", "ls", "--quiet", filters).split() if one in running]
    if not found:
        raise NodeError(f"no container {container or ''} of pod {namespace}/{pod} runs")
    return found[0]


def _only_manifest(archive: Path) -> dict[str, Any]:
    try:
        with tarfile.open(archive) as tar:
            index = tar.extractfile("index.json")
            manifests = json.load(index)["manifests"] if index else []
    except (OSError, KeyError, tarfile.TarError) as error:
        raise NodeError(f"{archive} is no OCI archive: {error}") from error
    if len(manifests) != 1:
        raise NodeError(f"{archive} holds {len(manifests)} images; one is wanted")
    return dict(manifests[0])


def _write_archive(archive: Path, name: str, path: str, program: bytes) -> None:
    """An OCI archive of one layer: the program, and a /tmp that anybody may write to."""
    layer = _tar([(path.lstrip("/"), program, 0o755)], folders=["tmp"])
    config = {
        "architecture": "amd64",
        "os": "linux",
        "config": {"Entrypoint": [path], "User": USER, "Env": ["PATH=/"]},
        "rootfs": {"type": "layers", "diff_ids": [_digest(layer)]},
    }
    config_bytes = json.dumps(config).encode()
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "config": _descriptor(CONFIG_TYPE, config_bytes),
        "layers": [_descriptor(LAYER_TYPE, layer)],
    }
    manifest_bytes = json.dumps(manifest).encode()
    listed = {**_descriptor(MANIFEST_TYPE, manifest_bytes), "annotations": {NAME_ANNOTATIONS[0]: name}}
    index = json.dumps({"schemaVersion": 2, "manifests": [listed]}).encode()
    files = [("oci-layout", b'{"imageLayoutVersion":"1.0.0"}', 0o644), ("index.json", index, 0o644)]
    for blob in (layer, config_bytes, manifest_bytes):
        files.append((f"blobs/{_digest(blob).replace(':', '/')}", blob, 0o644))
    archive.write_bytes(_tar(files))


def _tar(files: list[tuple[str, bytes, int]], folders: Sequence[str] = ()) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for folder in folders:
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o1777
            tar.addfile(entry)
        for name, content, mode in files:
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), mode
            tar.addfile(entry, io.BytesIO(content))
    return stream.getvalue()


def _digest(blob: bytes) -> str:
    return f"sha256:{hashlib.sha256(blob).hexdigest()}"


def _descriptor(media_type: str, blob: bytes) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": _digest(blob), "size": len(blob)}
