"""Promotion: the winner's files to models/NAME/VERSION, whole and once.

The files lie side by side, as model loaders expect them: `from_pretrained("…/models/NAME/VERSION")` works on a
folder store. The manifest is written last, and after it the pointer `models/NAME/latest.json`.
"""

import hashlib
import tempfile
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from components.models.reference import MODEL_PART, UNSAFE_SUFFIXES
from components.shared import lease
from components.shared.errors import DamagedError, ExistsError, ModelError
from components.shared.log import Progress
from components.shared.manifest import (
    MANIFEST,
    Cost,
    Manifest,
    Shard,
    canonical,
    find_manifest,
    installed_versions,
)
from components.shared.shards import describe
from components.shared.store import Store, open_store

STEP = "publish"
VERSION_LENGTH = 12


def model_address(name: str, version: str, winner: Manifest) -> str:
    """Where a model is promoted to; an empty version takes the winner's short digest."""
    return f"models/{name}/{version or winner.digest[:VERSION_LENGTH]}"


def promote(root: str, address: str, winner: Manifest, texts: Mapping[str, bytes]) -> Manifest:
    """Copy the winner's model files and put the texts (model card, lineage) beside them.

    A version that holds this very model already is left as it is.

    Args:
        root: the store's root URI.
        address: `models/NAME/VERSION`.
        winner: manifest of the model; only weights in safetensors are copied.
        texts: small files by name.

    Raises:
        ExistsError: the version holds another model.
        ModelError: the winner has no safetensors weights.
        DamagedError: a file of the winner is not what its manifest promises.
        LeaseError: another process promotes to the same version.
    """
    done = _promoted(root, address, winner)
    if done is None:
        with lease.hold(open_store(root).at(address)):
            done = _promoted(root, address, winner) or _copy_all(root, address, winner, texts)
    _point_to(root, done)
    return done


def _promoted(root: str, address: str, winner: Manifest) -> Manifest | None:
    """The manifest of this version when it holds the winner already."""
    there = find_manifest(root, address)
    if there is None:
        return None
    digest = there.parents["model"].digest
    if digest != winner.digest:
        raise ExistsError(
            f"{address} holds another model (digest {digest[:VERSION_LENGTH]}, not {winner.digest[:VERSION_LENGTH]})",
            rule="a published version never changes",
            remedy="set publish.version to a new version, or leave it empty to take the model's short digest",
        )
    return there


def model_files(winner: Manifest) -> list[Shard]:
    """The winner's files without pickled weights. Raises ModelError when it has no safetensors weights."""
    files = [
        shard
        for shard in winner.shards
        if shard.name.startswith(f"{MODEL_PART}/") and not shard.name.endswith(UNSAFE_SUFFIXES)
    ]
    if not any(shard.name.endswith(".safetensors") for shard in files):
        raise ModelError(
            f"{winner.address} has no safetensors weights below {MODEL_PART}/",
            rule="only safetensors weights are published: pickled checkpoints can run code",
            remedy="save the model with save_pretrained(…, safe_serialization=True)",
        )
    return files


def _copy_all(root: str, address: str, winner: Manifest, texts: Mapping[str, bytes]) -> Manifest:
    began, files = time.monotonic(), model_files(winner)
    source, store = open_store(root).at(winner.address), open_store(root).at(address)
    progress = Progress(STEP, "copying the model", len(files), "files")
    shards = []
    for shard in files:
        shards.append(_copy(source, store, shard, winner.address))
        progress.advance()
    progress.finish()
    for name, data in texts.items():
        store.write(name, data)
        shards.append(describe(name, data))
    manifest = _manifest(address, winner, shards, time.monotonic() - began)
    store.write(MANIFEST, manifest.model_dump_json(indent=1).encode())
    return manifest


def _manifest(address: str, winner: Manifest, shards: list[Shard], seconds: float) -> Manifest:
    return Manifest(
        step=STEP,
        step_version=1,
        address=address,
        content=winner.content,
        shards=tuple(sorted(shards, key=lambda shard: shard.name)),
        settings={},
        parents={"model": winner.parent},
        versions=installed_versions(),
        counts={"files": len(shards), "bytes": sum(shard.bytes for shard in shards)},
        cost=Cost(seconds=round(seconds, 3)),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def _copy(source: Store, store: Store, shard: Shard, address: str) -> Shard:
    """Copy one file in pieces, by way of a temporary file, and check its bytes before they are put in place."""
    name = shard.name.removeprefix(f"{MODEL_PART}/")
    digest = hashlib.sha256()
    with tempfile.TemporaryDirectory(prefix="tutelage-publish-") as folder:
        path = Path(folder) / "file"
        with path.open("wb") as file:
            for chunk in source.read_chunks(shard.name):
                digest.update(chunk)
                file.write(chunk)
        if digest.hexdigest() != shard.sha256:
            raise DamagedError(
                f"{address}/{shard.name} is damaged: its sha256 is {digest.hexdigest()}, not {shard.sha256}",
                rule="a shard's sha256 equals the manifest's",
                remedy=f"restore the object, or delete {address}/{MANIFEST} and run the step that makes it again",
            )
        store.upload(path, name)
    return shard.model_copy(update={"name": name})


def _point_to(root: str, manifest: Manifest) -> None:
    _, name, version = manifest.address.split("/")
    pointer = {"version": version, "address": manifest.address, "digest": manifest.parents["model"].digest}
    open_store(root).at(f"models/{name}").write("latest.json", canonical(pointer) + b"\n")
