"""Copies a complete output from one store to another, to the same address."""

import tempfile
from pathlib import Path

from components.shared.errors import InputError
from components.shared.outputs.library import Library
from components.shared.outputs.manifest import MANIFEST, Manifest
from components.shared.store import lease

WAIT_SECONDS = 3600.0
"""Longest wait for another process that copies the same output."""


def copy_output(source: Library, target: Library, manifest: Manifest) -> bool:
    """Copy every file, checked by its digest, and the manifest last; returns whether there was anything to copy.

    Args:
        source: the store that has it.
        target: the store that needs it.
        manifest: of the output.

    Raises:
        InputError: the target has another output at this address.
        DamagedError: a file differs from what the manifest promises.
        LeaseError: another writer holds the address for too long.
    """
    if _is_there(source, target, manifest):
        return False
    store = target.at(manifest.address)
    with lease.hold(store, WAIT_SECONDS) as held, tempfile.TemporaryDirectory() as folder:
        # Another process may have copied it while this one waited.
        if _is_there(source, target, manifest):
            return False
        path = Path(folder) / "file"
        for shard in manifest.shards:
            source.download(manifest, shard.name, path)
            store.upload(path, shard.name)
        held.require()
        store.write(MANIFEST, source.at(manifest.address).read(MANIFEST))
    return True


def _is_there(source: Library, target: Library, manifest: Manifest) -> bool:
    """Whether the target has the output. Raises InputError where it has another one."""
    found = target.find(manifest.address)
    if found is not None and found.digest != manifest.digest:
        raise InputError(
            f"{target.uri(manifest.address)} differs from {source.uri(manifest.address)}",
            rule="an address is made of settings and inputs; a model or a source may have answered differently at "
            "another time, and outputs of both must not be mixed",
            remedy=f"use what is in {target.root}, or run in another store",
        )
    return found is not None
