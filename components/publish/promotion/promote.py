"""Promotion: the winner's files to models/NAME/VERSION, complete and once.

The files are stored side by side, as model loaders expect them: `from_pretrained("…/models/NAME/VERSION")` works on a
folder store. The manifest is written last, and after it the pointer `models/NAME/latest.json`.
"""

import tempfile
from collections.abc import Mapping
from pathlib import Path

from components.models.reference import MODEL_PART, UNSAFE_SUFFIXES
from components.publish.step import RELEASE, STEP
from components.shared.errors import ExistsError, ModelError
from components.shared.log import Progress
from components.shared.outputs.digest import canonical, hex_of
from components.shared.outputs.library import Library
from components.shared.outputs.manifest import Manifest, Shard
from components.shared.outputs.output import Output
from components.shared.settings import Settings

VERSION_LENGTH = 12


def model_address(name: str, version: str, winner: Manifest) -> str:
    """Where a model is promoted to; an empty version takes the winner's short digest."""
    return f"{RELEASE.place}/{name}/{version or _short(winner.digest)}"


def promote(library: Library, address: str, winner: Manifest, texts: Mapping[str, bytes]) -> Manifest:
    """Copy the winner's model files and put the texts (model card, lineage) beside them.

    A version that already holds this model is kept.

    Args:
        library: where outputs are stored.
        address: `models/NAME/VERSION`.
        winner: manifest of the model; only weights in safetensors are copied.
        texts: small files by name.

    Raises:
        ExistsError: the version holds another model.
        ModelError: the winner lacks safetensors weights.
        DamagedError: a file of the winner is not what its manifest promises.
        LeaseError: another process promotes to the same version.
    """
    output = Output(library, RELEASE, Settings(), {"model": winner}, address)
    done = output.made(lambda: _copy_all(output, winner, texts), is_complete=lambda there: _require_same(there, winner))
    _point_to(library, done)
    return done


def _require_same(there: Manifest, winner: Manifest) -> bool:
    """True, since a version with this model is complete. Raises ExistsError when it holds another model."""
    digest = there.parents["model"].digest
    if digest != winner.digest:
        raise ExistsError(
            f"{there.address} holds another model (digest {_short(digest)}, not {_short(winner.digest)})",
            rule="a published version never changes",
            remedy="set publish.version to a new version, or leave it empty to take the model's short digest",
        )
    return True


def model_files(winner: Manifest) -> list[Shard]:
    """The winner's files without pickled weights. Raises ModelError when it lacks safetensors weights."""
    files = [
        shard
        for shard in winner.shards
        if shard.name.startswith(f"{MODEL_PART}/") and not shard.name.endswith(UNSAFE_SUFFIXES)
    ]
    if not any(shard.name.endswith(".safetensors") for shard in files):
        raise ModelError(
            f"{winner.address} lacks safetensors weights below {MODEL_PART}/",
            rule="only safetensors weights are published: pickled checkpoints can run code",
            remedy="save the model with save_pretrained(…, safe_serialization=True)",
        )
    return files


def _copy_all(output: Output, winner: Manifest, texts: Mapping[str, bytes]) -> Manifest:
    files = model_files(winner)
    progress = Progress(STEP.name, "copying the model", len(files), "files")
    with tempfile.TemporaryDirectory(prefix="tutelage-publish-") as folder:
        path = Path(folder, "file")
        for file in files:
            # By way of the disk: bytes are checked before they are published.
            output.library.download(winner, file.name, path)
            output.write_file(path, file.name.removeprefix(f"{MODEL_PART}/"))
            progress.advance()
    progress.finish()
    for name, data in texts.items():
        output.write_bytes(name, data)
    shards = output.shards.values()
    return output.finish({"files": len(shards), "bytes": sum(shard.bytes for shard in shards)})


def _point_to(library: Library, manifest: Manifest) -> None:
    _, name, version = manifest.address.split("/")
    pointer = {"version": version, "address": manifest.address, "digest": manifest.parents["model"].digest}
    library.at(f"{RELEASE.place}/{name}").write("latest.json", canonical(pointer) + b"\n")


def _short(digest: str) -> str:
    return hex_of(digest, VERSION_LENGTH)
