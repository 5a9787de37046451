"""A store in a local folder."""

import errno
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from components.shared.errors import ExistsError, NotFoundError, SettingsError, StoreError
from components.shared.store.store import Entry

PARTIAL = ".partial-"
FULL = (
    "free some space or inodes (df -h, df -i), or choose another folder; the next run continues where this one stopped"
)
FORBIDDEN = "give this user read and write permission there, or choose another folder"
IN_THE_WAY = "a part of this path is a file: choose another folder"
REMEDIES = {
    errno.ENOSPC: FULL,
    errno.EDQUOT: FULL,
    errno.EFBIG: FULL,
    errno.EACCES: FORBIDDEN,
    errno.EPERM: FORBIDDEN,
    errno.EROFS: FORBIDDEN,
    errno.ENOTDIR: IN_THE_WAY,
    errno.EEXIST: IN_THE_WAY,
    errno.EISDIR: "this is a folder where a file is expected: correct the path",
}


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn an OSError into a StoreError that names the path and the remedy."""
    try:
        yield
    except FileNotFoundError as error:
        raise NotFoundError(f"no such file: {error.filename or path}", remedy="check the path") from error
    except OSError as error:
        remedy = REMEDIES.get(error.errno or 0, "check the disk and the folder's permissions, then run again")
        raise StoreError(f"{path}: {error.strerror or error}", remedy=remedy) from error


class FolderStore:
    """Objects are files. A write is atomic by renaming, a conditional write by linking."""

    def __init__(self, folder: Path) -> None:
        self.folder = Path(os.path.abspath(folder))

    @property
    def uri(self) -> str:
        return str(self.folder)

    def at(self, prefix: str) -> "FolderStore":
        return FolderStore(self._path(prefix))

    def exists(self, key: str) -> bool:
        return self._path(key).is_file()

    def read(self, key: str) -> bytes:
        path = self._path(key)
        with explained(path):
            return path.read_bytes()

    def read_chunks(self, key: str, chunk_bytes: int = 1 << 20) -> Iterator[bytes]:
        path = self._path(key)
        with explained(path), path.open("rb") as file:
            while chunk := file.read(chunk_bytes):
                yield chunk

    def write(self, key: str, data: bytes, *, only_if_absent: bool = False) -> None:
        with explained(self._path(key)), self._partial(key) as partial:
            with partial.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            self._appear(partial, key, only_if_absent)

    def list(self, prefix: str = "") -> Iterator[Entry]:
        for key, path in sorted(self._walk(prefix)):
            try:
                with explained(path):
                    facts = path.stat()
            except NotFoundError:
                # Removed by another writer since the walk.
                continue
            yield Entry(key, facts.st_size, facts.st_mtime)

    def _walk(self, prefix: str) -> Iterator[tuple[str, Path]]:
        def failed(error: OSError) -> None:
            # A missing folder is empty; an unreadable one must not look empty.
            if not isinstance(error, FileNotFoundError):
                raise error

        top = self._path(prefix.rpartition("/")[0])
        with explained(top):
            for parent, folders, names in os.walk(top, onerror=failed):
                # Only those that can hold keys with the prefix: a single file may be in a large tree.
                folders[:] = [name for name in folders if f"{self._key(Path(parent, name))}/".startswith(prefix)]
                for name in names:
                    path = Path(parent, name)
                    key = self._key(path)
                    if key.startswith(prefix) and not name.startswith(PARTIAL):
                        yield key, path

    def upload(self, path: Path, key: str) -> None:
        with explained(self._path(key)), self._partial(key) as partial:
            shutil.copyfile(path, partial)
            with partial.open("rb") as file:
                os.fsync(file.fileno())
            self._appear(partial, key, only_if_absent=False)

    def download(self, key: str, path: Path) -> None:
        """Copy a file to `path`, atomically. Raises NotFoundError and StoreError."""
        source = self._path(key)
        with explained(source):
            path.parent.mkdir(parents=True, exist_ok=True)
            partial = path.with_name(f"{PARTIAL}{uuid.uuid4().hex}")
            try:
                shutil.copyfile(source, partial)
                partial.replace(path)
            finally:
                partial.unlink(missing_ok=True)

    def delete(self, key: str) -> None:
        path = self._path(key)
        with explained(path):
            path.unlink(missing_ok=True)

    def _key(self, path: Path) -> str:
        return path.relative_to(self.folder).as_posix()

    def _path(self, key: str) -> Path:
        path = Path(os.path.normpath(self.folder / key))
        if not path.is_relative_to(self.folder):
            raise SettingsError(f"key {key!r} is outside the store {self.folder}", rule="keys are paths below the root")
        return path

    @contextmanager
    def _partial(self, key: str) -> Iterator[Path]:
        """A temporary name beside the target, removed afterwards."""
        folder = self._path(key).parent
        folder.mkdir(parents=True, exist_ok=True)
        partial = folder / f"{PARTIAL}{uuid.uuid4().hex}"
        try:
            yield partial
        finally:
            partial.unlink(missing_ok=True)

    def _appear(self, partial: Path, key: str, only_if_absent: bool) -> None:
        if not only_if_absent:
            partial.replace(self._path(key))
            return
        try:
            os.link(partial, self._path(key))
        except FileExistsError as error:
            raise ExistsError(f"{self._path(key)} exists already") from error
