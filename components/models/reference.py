"""Where a model is stored, and how it is downloaded.

A reference is one of: a folder; `package:FOLDER` (a folder inside the installed Tutelage, such as
`package:demo/student`); a store URI (`s3://…`) of a folder or of an address with a manifest; or a hub id
(`Qwen/Qwen2-0.5B-Instruct`, `NAME@REVISION`). The output of a training that had no rows, and was to hand on its start,
means that start.
"""

import os
import tempfile
from pathlib import Path

from components.shared.errors import DamagedError, ModelError
from components.shared.outputs.digest import Digester, digest_bytes, digest_file, digest_value, hex_of
from components.shared.outputs.divergence import DIVERGED_FILE, Divergence, has_diverged
from components.shared.outputs.manifest import MANIFEST, Manifest, Parent, parse_manifest
from components.shared.outputs.passed_through import PASSED_THROUGH_FILE, PassedThrough, has_passed_through
from components.shared.parse_json import parse_json
from components.shared.process.interruption import may_pass
from components.shared.store.open_store import open_store
from components.shared.store.store import Store

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
        ModelError: no such model, or its weights are not safetensors and `allow_pickled` is not set.
    """
    reference = handed_on(reference)
    if is_hub_id(reference):
        return Parent(address=reference, digest=digest_bytes(f"hub:{reference}".encode()))
    store = _store_of(reference)
    if store.exists(MANIFEST):
        manifest = parse_manifest(store.read(MANIFEST), where=reference)
        return Parent(address=manifest.address, digest=manifest.digest)
    return Parent(address=reference, digest=_folder_digest(reference, store, allow_pickled))


def local_model(reference: str, allow_pickled: bool = False) -> Path:
    """The model's folder on this machine, downloaded into the cache when it is stored elsewhere.

    Raises:
        ModelError: no such model, or its weights are not safetensors and `allow_pickled` is not set; or it is the
            output of a training that diverged.
        DamagedError: a downloaded file differs from its manifest.
    """
    reference = handed_on(reference)
    if is_hub_id(reference):
        return _from_hub(reference, allow_pickled)
    store, part = open_model(reference)
    if store.uri.startswith("s3://"):
        return _downloaded(reference, store, part, allow_pickled)
    folder = Path(store.uri) / part
    if not allow_pickled:
        _require_safetensors(reference, [path.name for path in folder.iterdir()])
    return folder


def open_model(reference: str) -> tuple[Store, str]:
    """The store of a model that is not a hub id, and the prefix of its files there.

    Raises ModelError; also for the output of a training that diverged.
    """
    store = _store_of(reference)
    part = _part_of(store)
    if part and (divergence := _divergence_in(store)) is not None:
        raise ModelError(
            f"{reference!r} holds no model: {divergence.problem}",
            rule="a training that diverged has no model to start from, to merge or to ask",
            remedy="take the output of a training with a smaller learning_rate",
        )
    return store, part


def divergence_of(reference: str) -> Divergence | None:
    """How the training diverged whose output a reference names; None for a model.

    Raises ModelError and DamagedError.
    """
    reference = handed_on(reference)
    return None if is_hub_id(reference) else _divergence_in(_store_of(reference))


def handed_on(reference: str) -> str:
    """The model that a reference means: of the output of a training without rows, the model that it handed on.

    Raises ModelError and DamagedError.
    """
    if is_hub_id(reference):
        return reference
    store = _store_of(reference)
    if not store.exists(MANIFEST):
        return reference
    manifest = parse_manifest(store.read(MANIFEST), where=store.uri)
    if not has_passed_through(manifest):
        return reference
    where = f"{store.uri}/{PASSED_THROUGH_FILE}"
    passed = parse_json(store.read(PASSED_THROUGH_FILE), PassedThrough, where, "run the training again")
    return passed.reference(reference, manifest.address)


def is_hub_id(reference: str) -> bool:
    """A hub id is OWNER/NAME, optionally with @REVISION, unless a folder of that name exists."""
    plain = "://" not in reference and not reference.startswith((PACKAGE, "/", ".", "~"))
    return plain and reference.count("/") == 1 and not Path(reference).exists()


def _store_of(reference: str) -> Store:
    uri = str(package_folder(reference)) if reference.startswith(PACKAGE) else reference
    store = open_store(uri)
    if not store.exists(MANIFEST) and not store.exists("config.json"):
        if store.exists("adapter_config.json"):
            raise ModelError(
                f"{reference!r} is an adapter without its base model",
                rule="a model is complete: config.json, all weights, and the tokenizer",
                remedy="merge the adapter into its base (peft: merge_and_unload, then save_pretrained)",
            )
        raise ModelError(
            f"no model at {reference!r}",
            rule="a model is a folder with config.json, an address with a manifest, or a hub id OWNER/NAME",
            remedy="correct the reference, or copy the model's folder there",
        )
    return store


def _part_of(store: Store) -> str:
    """Where in an address the files are stored: below `model/`, or at its top as in a published model."""
    return "" if store.exists("config.json") else f"{MODEL_PART}/"


def _divergence_in(store: Store) -> Divergence | None:
    # The file alone may be left by an attempt that was killed.
    if not store.exists(MANIFEST) or not has_diverged(parse_manifest(store.read(MANIFEST), where=store.uri)):
        return None
    return parse_json(store.read(DIVERGED_FILE), Divergence, f"{store.uri}/{DIVERGED_FILE}", "run the training again")


def _folder_digest(reference: str, store: Store, allow_pickled: bool) -> str:
    entries = list(store.list())
    if not allow_pickled:
        _require_safetensors(reference, [entry.key for entry in entries])
    facts = []
    for entry in entries:
        digester = Digester()
        for chunk in store.read_chunks(entry.key):
            digester.update(chunk)
        facts.append((entry.key, digester.digest))
    return digest_value(facts)


def _require_safetensors(reference: str, names: list[str]) -> None:
    safe = any(name.endswith(".safetensors") for name in names)
    unsafe = sorted(name for name in names if name.endswith(UNSAFE_SUFFIXES))
    if not safe:
        raise ModelError(
            f"{reference!r} lacks safetensors weights" + (f", only {', '.join(unsafe)}" if unsafe else ""),
            rule="weights are loaded from safetensors only: pickled checkpoints can run code",
            remedy="convert the model with save_pretrained(…, safe_serialization=True)",
        )


def _downloaded(reference: str, store: Store, part: str, allow_pickled: bool) -> Path:
    manifest = parse_manifest(store.read(MANIFEST), where=reference) if store.exists(MANIFEST) else None
    folder = cache_folder() / "models" / hex_of(as_parent(reference, allow_pickled).digest)
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
    if digest_file(path) != manifest.shard(key).digest:
        path.unlink()
        raise DamagedError(
            f"{manifest.address}/{key} is damaged: its digest differs from the manifest's",
            remedy="run the step that made it again",
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
            f"model {reference!r} cannot be downloaded from the hub: {str(error).splitlines()[0]}",
            remedy="check the name and the network, or copy the model to the store and name its URI",
            temporary=may_pass(error),
        ) from error


def cache_folder() -> Path:
    """Where downloads are kept: TUTELAGE_CACHE, or a folder of this user below the temporary folder."""
    return Path(os.environ.get(CACHE_VARIABLE) or Path(tempfile.gettempdir()) / f"tutelage-cache-{os.getuid()}")
