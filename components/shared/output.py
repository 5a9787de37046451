"""A step's output at its address: ROOT/STEP/KEY/, KEY the hash of what makes it."""

import hashlib
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from components.shared import lease
from components.shared.manifest import (
    MANIFEST,
    Cost,
    Manifest,
    Parent,
    Shard,
    canonical,
    find_manifest,
    installed_versions,
    parents_of,
)
from components.shared.settings import Settings
from components.shared.shards import BYTES_PER_SHARD, ROWS_PER_SHARD, SUFFIX, Packer, describe, pack_rows
from components.shared.storable import storable_value
from components.shared.store import open_store

KEY_LENGTH = 16


class Output:
    """What a step writes, and whether it is there already.

    Args:
        root: the store's root URI.
        step: the step's name, the first part of the address.
        version: raised whenever the step's code makes something else of the same settings and inputs.
        settings: the step's settings; fields apart from the key do not change the address.
        inputs: manifests (or parents, for models from elsewhere) by name.
    """

    def __init__(
        self, root: str, step: str, version: int, settings: Settings, inputs: Mapping[str, Manifest | Parent]
    ) -> None:
        self.root, self.step, self.version, self.settings = root, step, version, settings
        self.parents = parents_of(inputs)
        self.address = f"{step}/{self._key()}"
        self.store = open_store(root).at(self.address)
        self.shards: dict[str, Shard] = {}
        self._began = time.monotonic()
        self._held: lease.Held | None = None

    def manifest(self) -> Manifest | None:
        """The manifest when the output is whole, else None."""
        return find_manifest(self.root, self.address)

    @contextmanager
    def writing(self, wait_seconds: float = 0.0) -> Iterator["Output"]:
        """Hold the address's lease. Raises LeaseError when another writer holds it."""
        with lease.hold(self.store, wait_seconds) as self._held:
            yield self

    def write_rows(self, name: str, rows: Iterable[BaseModel]) -> Shard:
        """Write rows as the shard `NAME.jsonl.gz`; rows are held in memory, so keep shards of a bounded size."""
        data, count = pack_rows(rows)
        return self.write_packed(name + SUFFIX, data, count)

    def write_packed(self, name: str, data: bytes, rows: int) -> Shard:
        """Write rows that are packed already."""
        return self._put(name, data, rows)

    def write_bytes(self, name: str, data: bytes) -> Shard:
        """Write a small file."""
        return self._put(name, data, 0)

    def write_json(self, name: str, value: Any, *, record: bool = False) -> Shard:
        """Write a value as JSON: a pydantic model or plain values; a `record` holds times, see Shard."""
        plain = value.model_dump(mode="json") if isinstance(value, BaseModel) else value
        # Reports quote what models and files hold.
        shard = self.write_bytes(name, canonical(storable_value(plain)) + b"\n")
        self.adopt(shard.model_copy(update={"record": record}))
        return self.shards[name]

    def write_folder(self, folder: Path, part: str) -> list[Shard]:
        """Upload every file below a folder as `PART/…`."""
        return [
            self.write_file(path, f"{part}/{path.relative_to(folder).as_posix()}")
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        ]

    def write_file(self, path: Path, name: str) -> Shard:
        """Upload one local file, large ones in parts."""
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        self.store.upload(path, name)
        self.shards[name] = Shard(name=name, bytes=path.stat().st_size, sha256=digest)
        return self.shards[name]

    def adopt(self, shard: Shard) -> None:
        """Count a shard that an earlier attempt (or another process) wrote as part of this output."""
        self.shards[shard.name] = shard

    def finish(self, content: str, counts: Mapping[str, float] | None = None, cost: Cost | None = None) -> Manifest:
        """Write the manifest, which makes the output whole. Without `cost`, the seconds since opening are taken.

        Raises LeaseError when another writer took the address over in the meantime.
        """
        if self._held is not None:
            self._held.require()
        manifest = Manifest(
            step=self.step,
            step_version=self.version,
            address=self.address,
            content=content,
            shards=tuple(sorted(self.shards.values(), key=lambda shard: shard.name)),
            settings=self.settings.model_dump(mode="json"),
            parents=self.parents,
            versions=installed_versions(),
            counts=dict(counts or {}),
            cost=cost or Cost(seconds=round(time.monotonic() - self._began, 3)),
            created=datetime.now(UTC).isoformat(timespec="seconds"),
        )
        self.store.write(MANIFEST, manifest.model_dump_json(indent=1).encode())
        return manifest

    def _put(self, name: str, data: bytes, rows: int) -> Shard:
        self.store.write(name, data)
        self.shards[name] = describe(name, data, rows)
        return self.shards[name]

    def _key(self) -> str:
        facts = {
            "step": self.step,
            "version": self.version,
            "settings": self.settings.key_material(),
            "inputs": {name: parent.digest for name, parent in self.parents.items()},
        }
        return hashlib.sha256(canonical(facts)).hexdigest()[:KEY_LENGTH]


class RowWriter:
    """Streams rows into numbered shards `PART/00000.jsonl.gz`, …; call `close` at the end.

    Rows are packed as they come, so that memory holds one packed shard.
    """

    def __init__(self, output: Output, part: str = "rows", rows_per_shard: int = ROWS_PER_SHARD) -> None:
        self._output, self._part, self._limit = output, part, rows_per_shard
        self._packer = Packer()
        self._shards = 0
        self.rows = 0

    def add(self, row: BaseModel) -> None:
        """Add one row; a full shard is written at once."""
        self._packer.add(row)
        self.rows += 1
        if self._packer.rows >= self._limit or self._packer.bytes >= BYTES_PER_SHARD:
            self._flush()

    def close(self) -> None:
        """Write what is left."""
        if self._packer.rows:
            self._flush()

    def _flush(self) -> None:
        name = f"{self._part}/{self._shards:05d}{SUFFIX}"
        self._output.write_packed(name, self._packer.finish(), self._packer.rows)
        self._shards += 1
        self._packer = Packer()
