"""The only way to bytes: a folder or an S3 bucket behind one face, chosen by the URI's scheme.

A store is rooted somewhere (`s3://bucket/prefix` or a folder); keys are relative, with `/` between parts.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from components.shared.errors import SettingsError

ATTEMPTS_VARIABLE = "AWS_MAX_ATTEMPTS"
PATIENT_ATTEMPTS = 20
"""On a cluster hours of work wait behind a request: with botocore's pauses, 20 attempts outlast two minutes."""
SCHEMES = ("s3://BUCKET/PREFIX", "file:///FOLDER", "/FOLDER", "FOLDER")


@dataclass(frozen=True)
class Entry:
    """One object: its key relative to the store's root, its size in bytes, and when it was put (s since the epoch)."""

    key: str
    bytes: int
    modified: float = field(default=0.0, compare=False)


class Store(Protocol):
    """Bytes by key. Every method raises StoreError when the store refuses or cannot be reached."""

    @property
    def uri(self) -> str:
        """Where the store is rooted, without a trailing slash."""
        ...

    def at(self, prefix: str) -> "Store":
        """A store rooted deeper."""
        ...

    def exists(self, key: str) -> bool:
        """Whether there is an object at `key`."""
        ...

    def read(self, key: str) -> bytes:
        """The whole object. Raises NotFoundError."""
        ...

    def read_chunks(self, key: str, chunk_bytes: int = 1 << 20) -> Iterator[bytes]:
        """The object in pieces, so that memory does not grow with its size. Raises NotFoundError."""
        ...

    def write(self, key: str, data: bytes, *, only_if_absent: bool = False) -> None:
        """Put an object whole or not at all. Raises ExistsError if `only_if_absent` and there is one."""
        ...

    def list(self, prefix: str = "") -> Iterator[Entry]:
        """All objects whose key starts with `prefix`, in the order of their keys."""
        ...

    def upload(self, path: Path, key: str) -> None:
        """Put a local file (multipart where it is large)."""
        ...

    def download(self, key: str, path: Path) -> None:
        """Get an object into a local file, which appears whole or not at all. Raises NotFoundError."""
        ...

    def delete(self, key: str) -> None:
        """Remove an object; none there is no error."""
        ...


def open_store(uri: str) -> Store:
    """Open the store that a URI names.

    Raises:
        SettingsError: the scheme is not known.
    """
    if uri.startswith("s3://"):
        from components.shared.s3_store import S3Store

        return S3Store.from_uri(uri)
    if "://" in uri and not uri.startswith("file://"):
        raise SettingsError(
            f"store {uri!r} has an unknown scheme",
            rule="a store is a folder or an S3 bucket with a prefix",
            allowed=SCHEMES,
            remedy="write the store's URI in one of the allowed forms",
        )
    from components.shared.folder_store import FolderStore

    return FolderStore(Path(uri.removeprefix("file://")).expanduser())


def join(uri: str, *parts: str) -> str:
    """Join a URI and keys with single slashes."""
    return "/".join([uri.rstrip("/"), *(part.strip("/") for part in parts if part)])


def absolute(uri: str) -> str:
    """A URI that means the same from any working directory: folders are made absolute, others are kept."""
    return uri if "://" in uri else os.path.abspath(os.path.expanduser(uri))
