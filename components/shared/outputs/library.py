"""A store with the outputs in it: manifests by address, and the rows and files that they list."""

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

from components.shared.errors import InputError, NotFoundError
from components.shared.outputs.manifest import MANIFEST, Manifest, parse_manifest
from components.shared.outputs.shards import SomeRow, download_checked, read_checked, read_shards
from components.shared.store.open_store import open_store
from components.shared.store.store import Store
from components.shared.store.uri import absolute, join


class Library:
    """The outputs below one root.

    Args:
        root: the store's root URI: s3://BUCKET/PREFIX or a folder.
    """

    def __init__(self, root: str) -> None:
        self.root = root

    @cached_property
    def store(self) -> Store:
        """The store at the root, opened when it is first used."""
        return open_store(self.root)

    def at(self, address: str) -> Store:
        """The store rooted at an address."""
        return self.store.at(address)

    def uri(self, address: str) -> str:
        """The address's URI; for a model it is a model reference too."""
        return join(self.root, address)

    def address_of(self, uri: str) -> str:
        """The address that a URI names, as `uri` makes it. Raises InputError when it is not below the root."""
        root = join(self.root, "")
        if not uri.startswith(f"{root}/"):
            raise InputError(
                f"{uri} is not in the store {root}",
                rule="a step reads outputs of its own store",
                remedy="pass the URI of an output of this run",
            )
        return uri.removeprefix(f"{root}/")

    @property
    def absolute_root(self) -> str:
        """The root for another process of this machine, with another working directory."""
        return absolute(self.root)

    def find(self, address: str) -> Manifest | None:
        """The manifest at an address, or None when the output is not complete. Raises DamagedError."""
        try:
            return parse_manifest(self.at(address).read(MANIFEST), where=self.uri(address))
        except NotFoundError:
            return None

    def load(self, address: str) -> Manifest:
        """The manifest at an address. Raises NotFoundError when the output is not complete."""
        manifest = self.find(address)
        if manifest is None:
            raise NotFoundError(
                f"{self.uri(address)} lacks {MANIFEST}",
                rule="an output is complete only with its manifest",
                remedy="run the step that makes it again",
            )
        return manifest

    def read_rows(self, manifest: Manifest, row_type: type[SomeRow], part: str = "rows") -> Iterator[SomeRow]:
        """Stream the rows of one part of an output, in order.

        Raises:
            DamagedError: a shard's digest differs from the manifest's.
            InputError: a row is not of `row_type`; names the missing fields and those present.
        """
        return read_shards(self.at(manifest.address), manifest, row_type, part)

    def read_bytes(self, manifest: Manifest, name: str) -> bytes:
        """One file of an output, checked. Raises DamagedError and InputError."""
        return read_checked(self.at(manifest.address), manifest, name)

    def download(self, manifest: Manifest, name: str, path: Path) -> None:
        """Copy one file of an output, of any size, to a local path, checked. Raises DamagedError and InputError."""
        download_checked(self.at(manifest.address), manifest, name, path)
