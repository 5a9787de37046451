"""The lineage of an output, found by following the parents in the store's manifests."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from components.shared.errors import DamagedError
from components.shared.outputs.digest import hex_of
from components.shared.outputs.library import Library
from components.shared.outputs.manifest import Manifest, Parent

ADDRESS = re.compile(r"[a-z][a-z0-9-]*/[0-9a-f]{16}|models/[^/]+/[^/]+")
CREDENTIALS = re.compile(r"(?<=://)[^/@\s]+@")


@dataclass(frozen=True)
class Lineage:
    """Outputs and outside references by address.

    `manifests` holds the outputs of this store, inputs first; `outside` the references to other places (packaged
    models, hub ids, other stores), with their digests.
    """

    target: str
    manifests: Mapping[str, Manifest]
    outside: Mapping[str, Parent]

    def ancestors(self, address: str) -> list[str]:
        """The address itself and everything it comes from, inputs first."""
        found: dict[str, None] = {}

        def visit(current: str) -> None:
            if current in self.manifests:
                for parent in self.manifests[current].parents.values():
                    visit(parent.address)
            found.setdefault(current)

        visit(address)
        return list(found)

    def holding(self, content: str) -> list[Manifest]:
        """The outputs with this content: `instruction/1`, `model/1`, …"""
        return [manifest for manifest in self.manifests.values() if manifest.content == content]

    def with_digest(self, digest: str) -> Manifest | None:
        """The output with this digest, or None."""
        return next((manifest for manifest in self.manifests.values() if manifest.digest == digest), None)


def trace(library: Library, target: Manifest, beside: Iterable[Manifest] = ()) -> Lineage:
    """Walk from an output, and from others beside it, to everything they come from.

    A parent that is not an address in this store is an outside reference; the direct parents of the target must be in
    this store.

    Raises:
        NotFoundError: a direct parent is missing.
        DamagedError: a manifest is damaged, or has changed since its child was made.
    """
    manifests: dict[str, Manifest] = {}
    outside: dict[str, Parent] = {}
    for parent in target.parents.values():
        library.load(parent.address)

    def visit(manifest: Manifest) -> None:
        """Parents first, each once."""
        for name, parent in manifest.parents.items():
            if parent.address in manifests or parent.address in outside:
                continue
            found = _find(library, manifest, name, parent)
            if found is None:
                outside[parent.address] = parent
            else:
                visit(found)
        manifests[manifest.address] = manifest

    visit(target)
    for other in beside:
        visit(other)
    return Lineage(target.address, manifests, outside)


def _find(library: Library, child: Manifest, name: str, parent: Parent) -> Manifest | None:
    if not ADDRESS.fullmatch(parent.address):
        return None
    manifest = library.find(parent.address)
    if manifest is not None and manifest.digest != parent.digest:
        raise DamagedError(
            f"{parent.address} is not what {child.address} was made from: its digest is {hex_of(manifest.digest, 12)}, "
            f"the input {name!r} of {child.address} had {hex_of(parent.digest, 12)}",
            rule="a manifest names its inputs by address and digest",
            remedy=f"restore {parent.address}, or run the pipeline again from the {manifest.step} step",
        )
    return manifest


def without_credentials(value: Any) -> Any:
    """Settings as plain values, without users and passwords in URIs."""
    if isinstance(value, str):
        return CREDENTIALS.sub("", value)
    if isinstance(value, dict):
        return {name: without_credentials(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [without_credentials(item) for item in value]
    return value
