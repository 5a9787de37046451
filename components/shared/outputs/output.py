"""A step's output at its address: ROOT/STEP/KEY/, KEY the hash of what makes it."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from components.shared.errors import LeaseError
from components.shared.outputs.digest import canonical, digest_file, digest_value, hex_of
from components.shared.outputs.library import Library
from components.shared.outputs.manifest import (
    MANIFEST,
    Cost,
    Manifest,
    Parent,
    Shard,
    installed_versions,
    parents_of,
)
from components.shared.outputs.shards import BYTES_PER_SHARD, ROWS_PER_SHARD, SUFFIX, Packer, describe, pack_rows
from components.shared.settings import Settings
from components.shared.step import Product
from components.shared.storable import storable_value
from components.shared.store import lease

KEY_LENGTH = 16


def address_of(product: Product, settings: Settings, inputs: Mapping[str, Parent]) -> str:
    """`PLACE/KEY`, KEY the hash of the product's version, the settings and the inputs' digests."""
    facts = {
        "step": product.place,
        "version": product.version,
        "settings": settings.key_material(),
        "inputs": {name: parent.digest for name, parent in inputs.items()},
    }
    return f"{product.place}/{hex_of(digest_value(facts), KEY_LENGTH)}"


class Output:
    """The output of a step at its address: what it writes, and whether it is complete already.

    Args:
        library: where it is stored.
        product: what is made: the first part of the address, and the version of the code that makes it.
        settings: the step's settings; fields that are not in the cache key do not change the address.
        inputs: manifests (or parents, for models from elsewhere) by name.
        address: where, for an output with a name or a key of its own; empty: `address_of` all of these.
    """

    def __init__(
        self,
        library: Library,
        product: Product,
        settings: Settings,
        inputs: Mapping[str, Manifest | Parent],
        address: str = "",
    ) -> None:
        self.library, self.product, self.settings = library, product, settings
        self.parents = parents_of(inputs)
        self.address = address or address_of(product, settings, self.parents)
        self.store = library.at(self.address)
        self.shards: dict[str, Shard] = {}
        self._began = time.monotonic()
        self._held: lease.Held | None = None

    def manifest(self) -> Manifest | None:
        """The manifest when the output is complete, else None."""
        return self.library.find(self.address)

    def made(
        self,
        work: Callable[[], Manifest],
        *,
        prepare: Callable[[], None] = lambda: None,
        wait_seconds: float = 0.0,
        is_complete: Callable[[Manifest], bool] = lambda _: True,
    ) -> Manifest:
        """Return the manifest of the complete output, or run `work` under the address's lease to make it.

        Args:
            work: makes the output and returns `finish(…)`.
            prepare: checks that need no lease; called before it is acquired, and only when there is work to do.
            wait_seconds: how long to wait for another writer at the address.
            is_complete: whether an output with a manifest is complete, where it includes more than its own files.

        Raises:
            LeaseError: another live writer holds the address.
        """
        if (done := self._done(is_complete)) is not None:
            return done
        prepare()
        with self.writing(wait_seconds):
            # Another writer may have completed it while this one waited.
            return self._done(is_complete) or work()

    def _done(self, is_complete: Callable[[Manifest], bool]) -> Manifest | None:
        manifest = self.manifest()
        return manifest if manifest is not None and is_complete(manifest) else None

    @contextmanager
    def writing(self, wait_seconds: float = 0.0) -> Iterator["Output"]:
        """Hold the address's lease. Raises LeaseError when another writer holds it."""
        with lease.hold(self.store, wait_seconds) as self._held:
            yield self

    def claimed(self, stack: ExitStack) -> bool:
        """Whether the output is to be made here: it is not complete, and nobody makes it.

        Its lease is then held until the stack is closed. It does not wait: what another process makes is left to it.
        """
        if self.manifest() is not None or lease.is_held(self.store):
            return False
        try:
            stack.enter_context(self.writing())
        except LeaseError:
            return False
        # Another process may have completed it in between.
        return self.manifest() is None

    def write_rows(self, name: str, rows: Iterable[BaseModel]) -> Shard:
        """Write rows as the shard `NAME.jsonl.gz`; rows are held in memory, so keep shards of a bounded size."""
        data, count = pack_rows(rows)
        return self.write_packed(name + SUFFIX, data, count)

    def write_packed(self, name: str, data: bytes, rows: int) -> Shard:
        """Write rows that are already packed."""
        return self._put(name, data, rows)

    def write_bytes(self, name: str, data: bytes) -> Shard:
        """Write a small file."""
        return self._put(name, data, 0)

    def write_json(self, name: str, value: Any, *, record: bool = False) -> Shard:
        """Write a value as JSON: a pydantic model or plain values; a `record` holds times, see Shard."""
        plain = value.model_dump(mode="json") if isinstance(value, BaseModel) else value
        # Reports quote text of models and files.
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
        digest = digest_file(path)
        self.store.upload(path, name)
        self.shards[name] = Shard(name=name, bytes=path.stat().st_size, digest=digest)
        return self.shards[name]

    def adopt(self, shard: Shard) -> None:
        """Count a shard that an earlier attempt (or another process) wrote as part of this output."""
        self.shards[shard.name] = shard

    def finish(self, counts: Mapping[str, float] | None = None, cost: Cost | None = None) -> Manifest:
        """Write the manifest, which makes the output complete. Without `cost`, the seconds since opening are taken.

        Raises LeaseError when another writer took the address over in the meantime.
        """
        if self._held is not None:
            self._held.require()
        manifest = Manifest(
            step=self.product.place,
            step_version=self.product.version,
            address=self.address,
            content=self.product.content,
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
