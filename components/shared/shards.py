"""Rows to and from shards: gzipped JSON lines, made and read as streams, checked by SHA-256."""

import gzip
import hashlib
import io
import json
import zlib
from collections.abc import Iterable, Iterator
from typing import TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import PydanticSerializationError

from components.shared.errors import DamagedError, InputError
from components.shared.log import say
from components.shared.manifest import Manifest, Shard
from components.shared.storable import storable_value
from components.shared.store import Store, open_store

ROWS_PER_SHARD = 10_000
BYTES_PER_SHARD = 64 << 20
"""Unpacked bytes after which a shard of long rows is full, too."""
SUFFIX = ".jsonl.gz"

SomeRow = TypeVar("SomeRow", bound=BaseModel)


class Packer:
    """Packs rows into the bytes of one shard as they come; `rows` and `bytes` (unpacked) count them.

    A row with half of a UTF-16 pair, which no UTF-8 can hold, has it replaced; `mended` counts such rows.
    """

    def __init__(self) -> None:
        self.rows = self.bytes = self.mended = 0
        self._buffer = io.BytesIO()
        self._file = gzip.GzipFile(fileobj=self._buffer, mode="wb", mtime=0, compresslevel=4)

    def add(self, row: BaseModel) -> None:
        """Pack one more row."""
        self.bytes += self._file.write(self._json(row) + b"\n")
        self.rows += 1

    def finish(self) -> bytes:
        """The shard's bytes; equal rows give equal bytes. Logs how many rows were mended."""
        self._file.close()
        if self.mended:
            what = "held characters that UTF-8 cannot hold, which were replaced"
            say("rows", f"{self.mended} of {self.rows} rows of a shard {what}")
        return self._buffer.getvalue()

    def _json(self, row: BaseModel) -> bytes:
        try:
            return row.model_dump_json().encode()
        except PydanticSerializationError:
            self.mended += 1
            return json.dumps(storable_value(row.model_dump()), ensure_ascii=False, separators=(",", ":")).encode()


def pack_rows(rows: Iterable[BaseModel]) -> tuple[bytes, int]:
    """Rows as the bytes of a shard and their number; equal rows give equal bytes."""
    packer = Packer()
    for row in rows:
        packer.add(row)
    return packer.finish(), packer.rows


def describe(name: str, data: bytes, rows: int = 0) -> Shard:
    """The manifest's entry for these bytes."""
    return Shard(name=name, rows=rows, bytes=len(data), sha256=hashlib.sha256(data).hexdigest())


def read_rows(root: str, manifest: Manifest, row_type: type[SomeRow], part: str = "rows") -> Iterator[SomeRow]:
    """Stream the rows of one part of an output, in order.

    Raises:
        DamagedError: a shard's bytes are not those of the manifest.
        InputError: a row is not of `row_type`; names the missing fields and those present.
    """
    store = open_store(root).at(manifest.address)
    for shard in manifest.shards:
        if shard.name.startswith(f"{part}/") and shard.name.endswith(SUFFIX):
            for number, line in enumerate(_lines(store, shard), start=1):
                try:
                    row = parse_row(line, row_type, where=f"{manifest.address}/{shard.name} row {number}")
                except InputError:
                    # Damage can look like a wrong row before the end, where the hash is checked.
                    _require_whole(store, shard)
                    raise
                yield row


def count_rows(manifest: Manifest, part: str = "rows") -> int:
    """Rows in one part of an output."""
    return sum(shard.rows for shard in manifest.shards if shard.name.startswith(f"{part}/"))


def parse_row(line: bytes, row_type: type[SomeRow], where: str) -> SomeRow:
    """Read one JSON line as a row. Raises InputError."""
    try:
        return row_type.model_validate_json(line)
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()[:3])
        raise InputError(
            f"{where} is no {row_type.__name__}: {wrong}; it has {_fields_of(line)}",
            rule=f"fields of {row_type.__name__}: {', '.join(row_type.model_fields)}",
            remedy="give this step the output of the step before it, made by the same version",
        ) from error


def _fields_of(line: bytes) -> str:
    try:
        value = json.loads(line)
    except ValueError:
        return "no readable fields"
    return f"the fields {', '.join(value)}" if isinstance(value, dict) else "no fields"


def _lines(store: Store, shard: Shard) -> Iterator[bytes]:
    """The shard's lines; the hash is checked when the end is reached, before which no output is finished."""
    digest, unzip, rest = hashlib.sha256(), zlib.decompressobj(wbits=31), b""
    where = f"{store.uri}/{shard.name}"
    try:
        for chunk in store.read_chunks(shard.name):
            digest.update(chunk)
            *lines, rest = (rest + unzip.decompress(chunk)).split(b"\n")
            yield from lines
    except zlib.error as error:
        raise _damaged(where, str(error)) from error
    _compare(where, shard, digest.hexdigest())


def _require_whole(store: Store, shard: Shard) -> None:
    digest = hashlib.sha256()
    for chunk in store.read_chunks(shard.name):
        digest.update(chunk)
    _compare(f"{store.uri}/{shard.name}", shard, digest.hexdigest())


def _compare(where: str, shard: Shard, found: str) -> None:
    if found != shard.sha256:
        raise _damaged(where, f"its sha256 is {found}, the manifest says {shard.sha256}")


def _damaged(where: str, what: str) -> DamagedError:
    return DamagedError(
        f"{where} is damaged: {what}",
        rule="a shard's sha256 equals the manifest's",
        remedy="restore the object, or delete its manifest.json and run the step that makes it again",
    )


def read_bytes(root: str, manifest: Manifest, name: str) -> bytes:
    """One file of an output, checked. Raises DamagedError and InputError."""
    shard = manifest.shard(name)
    data = open_store(root).at(manifest.address).read(name)
    if hashlib.sha256(data).hexdigest() != shard.sha256:
        raise _damaged(f"{manifest.address}/{name}", "its sha256 is not the manifest's")
    return data
