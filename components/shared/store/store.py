"""The store's protocol: steps read and write bytes through it alone, in a folder or in an S3 bucket.

A store has a root (`s3://BUCKET/PREFIX` or a folder); keys are relative to it, with `/` between their parts.
`open_store.py` opens the store that a URI names.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol


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
        """The store rooted at a prefix of this one."""
        ...

    def exists(self, key: str) -> bool:
        """Whether there is an object at `key`."""
        ...

    def read(self, key: str) -> bytes:
        """The object's bytes. Raises NotFoundError."""
        ...

    def read_chunks(self, key: str, chunk_bytes: int = 1 << 20) -> Iterator[bytes]:
        """The object in chunks, so that memory use does not grow with its size. Raises NotFoundError."""
        ...

    def write(self, key: str, data: bytes, *, only_if_absent: bool = False) -> None:
        """Put an object, atomically. Raises ExistsError if `only_if_absent` and it exists."""
        ...

    def list(self, prefix: str = "") -> Iterator[Entry]:
        """All objects whose key starts with `prefix`, in the order of their keys."""
        ...

    def upload(self, path: Path, key: str) -> None:
        """Put a local file (multipart where it is large)."""
        ...

    def download(self, key: str, path: Path) -> None:
        """Download an object to a local file, atomically. Raises NotFoundError."""
        ...

    def delete(self, key: str) -> None:
        """Delete an object, if it exists."""
        ...
