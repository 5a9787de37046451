"""All hashing: a digest names its algorithm, `sha256:…`, so that a store can change it later."""

import hashlib
import json
from pathlib import Path
from typing import Any, Literal

ALGORITHM = "sha256"


class Digester:
    """Hashes a stream of bytes."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()

    def update(self, data: bytes) -> None:
        """Add bytes."""
        self._hash.update(data)

    @property
    def digest(self) -> str:
        """The digest of all bytes so far."""
        return _named(self._hash.hexdigest())


def digest_bytes(data: bytes) -> str:
    """The digest of bytes."""
    return _named(hashlib.sha256(data).hexdigest())


def digest_file(path: Path) -> str:
    """The digest of a file, read in chunks."""
    with path.open("rb") as file:
        return _named(hashlib.file_digest(file, ALGORITHM).hexdigest())


def digest_value(value: Any) -> str:
    """The digest of a JSON value: equal values have equal digests."""
    return digest_bytes(canonical(value))


def canonical(value: Any) -> bytes:
    """JSON bytes that are the same for the same value."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def hex_of(digest: str, length: int | None = None) -> str:
    """The hexadecimal part of a digest, or its first `length` characters: for names and for people."""
    return digest.rpartition(":")[2][:length]


def with_algorithm(digest: str) -> str:
    """The digest with its algorithm; those of manifests of format 1 lack it and are SHA-256."""
    return digest if ":" in digest else _named(digest)


def seed_of(text: str, bits: int = 64) -> int:
    """A number of `bits` bits (at most 256, a multiple of 8) from a text, for seeds and ranks that stay the same."""
    return int.from_bytes(hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[: bits // 8], "big")


def hash_text(text: str, key: bytes = b"", order: Literal["little", "big"] = "little") -> int:
    """The first 64 bits of BLAKE2b of a text: the same on every machine and in every process."""
    return int.from_bytes(
        hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8, key=key).digest(), order
    )


def _named(digest: str) -> str:
    return f"{ALGORITHM}:{digest}"
