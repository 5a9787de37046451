"""Reads the files of a model on the hub without downloading it: small files, and the headers of the weights."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from components.shared.errors import NotFoundError
from components.shared.store.store import Entry

FIRST_BYTES = 1 << 17
"""Of a file whose beginning alone is wanted: most headers of safetensors are smaller."""


class HubFiles:
    """Has the reading methods of a store.

    Args:
        reference: OWNER/NAME, optionally with @REVISION.
        system: huggingface_hub's HfFileSystem.
    """

    def __init__(self, reference: str, system: Any) -> None:
        self._system, self._root = system, system.resolve_path(reference).unresolve()

    def list(self, prefix: str = "") -> Iterator[Entry]:
        """The files whose names begin with `prefix`, in the order of their names."""
        found = self._system.find(self._root, detail=True, refresh=True).values()
        entries = [Entry(key=entry["name"].removeprefix(f"{self._root}/"), bytes=entry["size"]) for entry in found]
        yield from sorted((entry for entry in entries if entry.key.startswith(prefix)), key=lambda entry: entry.key)

    def read(self, key: str) -> bytes:
        """A file. Raises NotFoundError."""
        with _missing(key):
            return bytes(self._system.cat_file(f"{self._root}/{key}"))

    def read_chunks(self, key: str, chunk_bytes: int = FIRST_BYTES) -> Iterator[bytes]:
        """A file in chunks; only the consumed part is downloaded. Raises NotFoundError."""
        with _missing(key), self._system.open(f"{self._root}/{key}", block_size=chunk_bytes, cache_type="none") as file:
            while chunk := file.read(chunk_bytes):
                yield chunk


@contextmanager
def _missing(key: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise NotFoundError(
            f"the hub lacks the file {key}", remedy="check the model's name and its revision"
        ) from error
