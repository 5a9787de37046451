"""Files of a source in the store: find, list, digest and stream them."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from components.collect.files.encodings import AUTO, as_utf8
from components.collect.files.unpack import HEAD, is_packed_name, require_data, unpack
from components.models.reference import PACKAGE, package_folder
from components.shared.errors import InputError
from components.shared.outputs.digest import Digester, digest_value
from components.shared.outputs.manifest import Parent
from components.shared.store.open_store import open_store
from components.shared.store.store import Store
from components.shared.store.uri import join

SHOWN = 8
TRAIN = "train"


@dataclass(frozen=True)
class DataFile:
    """One file of a source.

    Attributes:
        store: the store that holds it.
        key: its key there.
        name: its path within the source.
        encoding: of its text.
        split: the split to read, if the file holds several.
    """

    store: Store
    key: str
    name: str
    encoding: str = AUTO
    split: str = TRAIN

    @property
    def uri(self) -> str:
        """The file's URI."""
        return join(self.store.uri, self.key)

    def chunks(self) -> Iterator[bytes]:
        """The file's bytes, decompressed. Raises InputError for a damaged file."""
        return unpack(self.store.read_chunks(self.key), self.uri)

    def text_chunks(self) -> Iterator[bytes]:
        """The file's text as UTF-8. Raises InputError for a damaged file."""
        return as_utf8(self.chunks(), self.encoding)

    @contextmanager
    def local(self) -> Iterator[Path]:
        """A temporary copy on the local disk, for formats that need random access."""
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
        """A copy as from `local`. Raises InputError if it is not a data file, such as a Git LFS pointer."""
        with self.local() as path:
            with path.open("rb") as file:
                require_data(file.read(HEAD), self.uri)
            yield path


def list_files(uri: str) -> tuple[list[DataFile], bool]:
    """The file at a URI, or all files of the folder there, sorted by name.

    Returns:
        The files, and whether the URI is that of a single file. A missing folder has no files.

    Raises:
        StoreError: the store refuses access or is unreachable.
    """
    plain = str(package_folder(uri)) if uri.startswith(PACKAGE) else uri.rstrip("/")
    single = _single(plain)
    if single is not None:
        return [single], True
    store = open_store(plain)
    # Bucket browsers create an empty object for a folder: the prefix itself, or a key that ends in a slash.
    keys = [entry.key for entry in store.list() if entry.key and not entry.key.endswith("/")]
    return [DataFile(store, key, key) for key in keys], False


def find_files(uri: str, wanted: Callable[[str], bool]) -> list[DataFile]:
    """The file at a URI, or the wanted files of the folder there, sorted by name.

    Hidden files and those that begin with `_` (such as `_SUCCESS`) are skipped.

    Raises:
        InputError: there is no file, or no wanted file, at the URI.
        StoreError: the store refuses access or is unreachable.
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
    """The error for a URI without data."""
    names = [file.name for file in present]
    return InputError(
        f"no data at {uri}" + (f"; the folder holds {shown(names)}" if names else ""),
        remedy="check the URI" + (", and set `format` if the suffix does not tell it" if names else ""),
    )


def shown(names: list[str]) -> str:
    """The first few names."""
    return ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")


def digest_files(uri: str, files: list[DataFile]) -> Parent:
    """The files as an input: a digest of names and contents, independent of where they are stored."""
    facts = []
    for file in files:
        digester = Digester()
        for chunk in file.store.read_chunks(file.key):
            digester.update(chunk)
        facts.append((file.name, digester.digest))
    return Parent(address=uri, digest=digest_value(facts))


def identify_files(uri: str, files: list[DataFile]) -> Parent:
    """The files as an input without reading them: a digest of their names, sizes and times of modification."""
    store = files[0].store
    entries = {entry.key: entry for entry in store.list(files[0].key if len(files) == 1 else "")}
    facts = [(file.name, entries[file.key].bytes, entries[file.key].modified) for file in files]
    return Parent(address=uri, digest=digest_value(facts))


def is_hidden(name: str) -> bool:
    """Whether a file, or a folder around it, is hidden or begins with `_`: `.git/x`, `_SUCCESS`, `__MACOSX/._x.csv`."""
    return any(part.startswith((".", "_")) for part in name.split("/"))


def _single(uri: str) -> DataFile | None:
    parent, _, name = uri.rpartition("/")
    if not name or parent.endswith(":/"):
        return None
    store = open_store(parent or ("/" if uri.startswith("/") else "."))
    return DataFile(store, name, name) if store.exists(name) else None
