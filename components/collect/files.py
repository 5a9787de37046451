"""Files of a source in the store: found, listed in order, digested, and read as streams."""

import hashlib
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from components.collect.streams import UnpackError, unpack_gzip
from components.models.reference import PACKAGE, package_folder
from components.shared.errors import InputError
from components.shared.manifest import Parent, canonical
from components.shared.store import Store, join, open_store

GZIP_SUFFIX = ".gz"
SHOWN = 8


@dataclass(frozen=True)
class DataFile:
    """One file: where it lies, and `name`, its path within the source."""

    store: Store
    key: str
    name: str

    @property
    def uri(self) -> str:
        """Where the file lies."""
        return join(self.store.uri, self.key)

    def chunks(self) -> Iterator[bytes]:
        """The file's bytes, unpacked where the name ends in `.gz`. Raises InputError for a damaged gzip file."""
        raw = self.store.read_chunks(self.key)
        if not self.name.lower().endswith(GZIP_SUFFIX):
            yield from raw
            return
        try:
            yield from unpack_gzip(raw)
        except UnpackError as error:
            raise InputError(
                f"{self.uri} is a damaged gzip file: {error}", remedy="copy the file again; `gzip -t` checks it"
            ) from error

    @contextmanager
    def local(self) -> Iterator[Path]:
        """A copy on this machine's disk, for formats that are read from their end; it is removed afterwards."""
        with tempfile.TemporaryDirectory(prefix="tutelage-") as folder:
            path = Path(folder, Path(self.name).name)
            if self.name.lower().endswith(GZIP_SUFFIX):
                with path.open("wb") as file:
                    file.writelines(self.chunks())
            else:
                self.store.download(self.key, path)
            yield path


def find_files(uri: str, wanted: Callable[[str], bool]) -> list[DataFile]:
    """The file that a URI names, or the wanted files of the folder that it names, in the order of their names.

    Hidden files and those that begin with `_` (such as `_SUCCESS`) are passed over.

    Raises:
        InputError: there is nothing, or nothing wanted, at the URI.
        StoreError: the store refuses or cannot be reached.
    """
    plain = str(package_folder(uri)) if uri.startswith(PACKAGE) else uri.rstrip("/")
    single = _single(plain)
    if single is not None:
        return [single]
    store = open_store(plain)
    present = [entry.key for entry in store.list() if not _is_hidden(entry.key)]
    found = [DataFile(store, key, key) for key in present if wanted(key)]
    if not found:
        shown = ", ".join(present[:SHOWN]) + (" …" if len(present) > SHOWN else "")
        raise InputError(
            f"no data at {uri}" + (f"; the folder holds {shown}" if present else ""),
            remedy="check the URI" + (", and name the `format` where the suffix does not" if present else ""),
        )
    return found


def digest_files(uri: str, files: list[DataFile]) -> Parent:
    """The files as an input: SHA-256 over their names and contents, wherever they lie."""
    facts = []
    for file in files:
        digest = hashlib.sha256()
        for chunk in file.store.read_chunks(file.key):
            digest.update(chunk)
        facts.append((file.name, digest.hexdigest()))
    return Parent(address=uri, digest=hashlib.sha256(canonical(facts)).hexdigest())


def _single(uri: str) -> DataFile | None:
    parent, _, name = uri.rpartition("/")
    if not name or parent.endswith(":/"):
        return None
    store = open_store(parent or ("/" if uri.startswith("/") else "."))
    return DataFile(store, name, name) if store.exists(name) else None


def _is_hidden(key: str) -> bool:
    return any(part.startswith((".", "_")) for part in key.split("/"))
