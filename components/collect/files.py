"""Files of a source in the store: found, listed in order, digested, and read as streams."""

import hashlib
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from components.collect.encodings import AUTO, as_utf8
from components.collect.unpack import HEAD, is_packed_name, require_data, unpack
from components.models.reference import PACKAGE, package_folder
from components.shared.errors import InputError
from components.shared.manifest import Parent, canonical
from components.shared.store import Store, join, open_store

SHOWN = 8
TRAIN = "train"


@dataclass(frozen=True)
class DataFile:
    """One file: where it lies, `name`, its path within the source, and how it is read.

    `encoding` is that of its text, `split` the part that is read of a file that holds several.
    """

    store: Store
    key: str
    name: str
    encoding: str = AUTO
    split: str = TRAIN

    @property
    def uri(self) -> str:
        """Where the file lies."""
        return join(self.store.uri, self.key)

    def chunks(self) -> Iterator[bytes]:
        """The file's bytes, unpacked where they are packed. Raises InputError for a damaged file."""
        return unpack(self.store.read_chunks(self.key), self.uri)

    def text_chunks(self) -> Iterator[bytes]:
        """The file's text as UTF-8. Raises InputError for a damaged file."""
        return as_utf8(self.chunks(), self.encoding)

    @contextmanager
    def local(self) -> Iterator[Path]:
        """A copy on this machine's disk, for formats that are read from their end; it is removed afterwards."""
        with tempfile.TemporaryDirectory(prefix="tutelage-") as folder:
            path = Path(folder, Path(self.name).name)
            if is_packed_name(self.name):
                with path.open("wb") as file:
                    file.writelines(self.chunks())
            else:
                self.store.download(self.key, path)
            yield path

    @contextmanager
    def local_data(self) -> Iterator[Path]:
        """A copy as `local` gives it. Raises InputError for what is no data file, such as a Git LFS pointer."""
        with self.local() as path:
            with path.open("rb") as file:
                require_data(file.read(HEAD), self.uri)
            yield path


def list_files(uri: str) -> tuple[list[DataFile], bool]:
    """The file that a URI names, or all files of the folder that it names, in the order of their names.

    Returns:
        The files, and whether the URI names a single one. A folder that is not there has none.

    Raises:
        StoreError: the store refuses or cannot be reached.
    """
    plain = str(package_folder(uri)) if uri.startswith(PACKAGE) else uri.rstrip("/")
    single = _single(plain)
    if single is not None:
        return [single], True
    store = open_store(plain)
    # Browsers of buckets make an empty object for a folder: the prefix itself, or a key that ends in a slash.
    keys = [entry.key for entry in store.list() if entry.key and not entry.key.endswith("/")]
    return [DataFile(store, key, key) for key in keys], False


def find_files(uri: str, wanted: Callable[[str], bool]) -> list[DataFile]:
    """The file that a URI names, or the wanted files of the folder that it names, in the order of their names.

    Hidden files and those that begin with `_` (such as `_SUCCESS`) are passed over.

    Raises:
        InputError: there is nothing, or nothing wanted, at the URI.
        StoreError: the store refuses or cannot be reached.
    """
    present, single = list_files(uri)
    if single:
        return present
    visible = [file for file in present if not is_hidden(file.name)]
    found = [file for file in visible if wanted(file.name)]
    if not found:
        raise nothing_there(uri, visible)
    return found


def nothing_there(uri: str, present: list[DataFile]) -> InputError:
    """The error for a place without data."""
    names = [file.name for file in present]
    return InputError(
        f"no data at {uri}" + (f"; the folder holds {shown(names)}" if names else ""),
        remedy="check the URI" + (", and name the `format` where the suffix does not" if names else ""),
    )


def shown(names: list[str]) -> str:
    """The first few names."""
    return ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")


def digest_files(uri: str, files: list[DataFile]) -> Parent:
    """The files as an input: SHA-256 over their names and contents, wherever they lie."""
    facts = []
    for file in files:
        digest = hashlib.sha256()
        for chunk in file.store.read_chunks(file.key):
            digest.update(chunk)
        facts.append((file.name, digest.hexdigest()))
    return Parent(address=uri, digest=hashlib.sha256(canonical(facts)).hexdigest())


def is_hidden(name: str) -> bool:
    """Whether a file, or a folder around it, is hidden or begins with `_`: `.git/x`, `_SUCCESS`, `__MACOSX/._x.csv`."""
    return any(part.startswith((".", "_")) for part in name.split("/"))


def _single(uri: str) -> DataFile | None:
    parent, _, name = uri.rpartition("/")
    if not name or parent.endswith(":/"):
        return None
    store = open_store(parent or ("/" if uri.startswith("/") else "."))
    return DataFile(store, name, name) if store.exists(name) else None
