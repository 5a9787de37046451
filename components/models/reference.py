"""Where a model is, and how it comes to this machine.

A reference is one of: a folder; `package:FOLDER` (a folder inside the installed Tutelage, such as
`package:pipelines/demo/student`); a store URI (`s3://…`) of a folder or of an address with a manifest; or a hub id
(`Qwen/Qwen2-0.5B-Instruct`, `NAME@REVISION`).
"""

import hashlib
import os
import tempfile
from pathlib import Path

from components.shared.errors import DamagedError, ModelError
from components.shared.interruption import may_pass
from components.shared.manifest import MANIFEST, Manifest, Parent, canonical, parse_manifest
from components.shared.store import Store, open_store

PACKAGE = "package:"
MODEL_PART = "model"
UNSAFE_SUFFIXES = (".bin", ".pt", ".pth", ".pkl", ".ckpt")
CACHE_VARIABLE = "TUTELAGE_CACHE"


def package_folder(reference: str) -> Path:
    """The folder that a `package:` reference names."""
    return Path(__file__).resolve().parents[2] / reference.removeprefix(PACKAGE)


def as_parent(reference: str, allow_pickled: bool = False) -> Parent:
    """A model as an input of a step: its reference and the digest of its content.

    Raises:
        ModelError: there is no such model, or its weights are not safetensors and `allow_pickled` is not set.
    """
    if _is_hub_id(reference):
        return Parent(address=reference, digest=hashlib.sha256(f"hub:{reference}".encode()).hexdigest())
    store = _store_of(reference)
    if store.exists(MANIFEST):
        manifest = parse_manifest(store.read(MANIFEST), where=reference)
        return Parent(address=manifest.address, digest=manifest.digest)
    return Parent(address=reference, digest=_folder_digest(reference, store, allow_pickled))


def local_model(reference: str, allow_pickled: bool = False) -> Path:
    """The model's folder on this machine, downloaded into the cache when it lies elsewhere.

    Raises:
        ModelError: there is no such model, or its weights are not safetensors and `allow_pickled` is not set.
        DamagedError: a downloaded file is not what its manifest promises.
    """
    if _is_hub_id(reference):
        return _from_hub(reference, allow_pickled)
    store = _store_of(reference)
    part = _part_of(store)
    if store.uri.startswith("s3://"):
        return _downloaded(reference, store, part, allow_pickled)
    folder = Path(store.uri) / part
    if not allow_pickled:
        _require_safetensors(reference, [path.name for path in folder.iterdir()])
    return folder


def _is_hub_id(reference: str) -> bool:
    """A hub id is OWNER/NAME, optionally with @REVISION, and no folder of that name is here."""
    plain = "://" not in reference and not reference.startswith((PACKAGE, "/", ".", "~"))
    return plain and reference.count("/") == 1 and not Path(reference).exists()


def _store_of(reference: str) -> Store:
    uri = str(package_folder(reference)) if reference.startswith(PACKAGE) else reference
    store = open_store(uri)
    if not store.exists(MANIFEST) and not store.exists("config.json"):
        raise ModelError(
            f"no model at {reference!r}",
            rule="a model is a folder with config.json, an address with a manifest, or a hub id OWNER/NAME",
            remedy="correct the reference, or copy the model's folder there",
        )
    return store


def _part_of(store: Store) -> str:
    """Where in an address the files lie: below `model/`, or side by side as in a published model."""
    return "" if store.exists("config.json") else f"{MODEL_PART}/"


def _folder_digest(reference: str, store: Store, allow_pickled: bool) -> str:
    entries = list(store.list())
    if not allow_pickled:
        _require_safetensors(reference, [entry.key for entry in entries])
    facts = []
    for entry in entries:
        digest = hashlib.sha256()
        for chunk in store.read_chunks(entry.key):
            digest.update(chunk)
        facts.append((entry.key, digest.hexdigest()))
    return hashlib.sha256(canonical(facts)).hexdigest()


def _require_safetensors(reference: str, names: list[str]) -> None:
    safe = any(name.endswith(".safetensors") for name in names)
    unsafe = sorted(name for name in names if name.endswith(UNSAFE_SUFFIXES))
    if not safe:
        raise ModelError(
            f"{reference!r} has no safetensors weights" + (f", only {', '.join(unsafe)}" if unsafe else ""),
            rule="weights are loaded from safetensors only: pickled checkpoints can run code",
            remedy="convert the model with save_pretrained(…, safe_serialization=True)",
        )


def _downloaded(reference: str, store: Store, part: str, allow_pickled: bool) -> Path:
    manifest = parse_manifest(store.read(MANIFEST), where=reference) if store.exists(MANIFEST) else None
    folder = cache_folder() / "models" / as_parent(reference, allow_pickled).digest
    promised = None if manifest is None else {shard.name for shard in manifest.shards}
    for entry in list(store.list(part)):
        if promised is not None and entry.key not in promised:
            continue
        path = folder / entry.key.removeprefix(part)
        if not path.exists() or path.stat().st_size != entry.bytes:
            store.download(entry.key, path)
            _verify(manifest, entry.key, path)
    return folder


def _verify(manifest: Manifest | None, key: str, path: Path) -> None:
    if manifest is None:
        return
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != manifest.shard(key).sha256:
        path.unlink()
        raise DamagedError(
            f"{manifest.address}/{key} is damaged: its sha256 is not the manifest's", remedy="make it again"
        )


def _from_hub(reference: str, allow_pickled: bool) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    name, _, revision = reference.partition("@")
    try:
        patterns = ["*.safetensors", "*.json", "*.txt", "*.model", "*.jinja"]
        patterns += [f"*{suffix}" for suffix in UNSAFE_SUFFIXES] if allow_pickled else []
        return Path(snapshot_download(name, revision=revision or None, allow_patterns=patterns))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        raise ModelError(
            f"model {reference!r} cannot be had from the hub: {str(error).splitlines()[0]}",
            remedy="check the name and the network, or copy the model to the store and name its URI",
            temporary=may_pass(error),
        ) from error


def cache_folder() -> Path:
    """Where downloads are kept: TUTELAGE_CACHE, else a folder of this user below the temporary one."""
    return Path(os.environ.get(CACHE_VARIABLE) or Path(tempfile.gettempdir()) / f"tutelage-cache-{os.getuid()}")
