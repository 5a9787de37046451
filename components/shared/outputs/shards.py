"""Rows to and from shards: gzipped JSON lines, written and read as streams, checked by their digest."""

import gzip
import io
import json
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import PydanticSerializationError

from components.shared.errors import DamagedError, InputError
from components.shared.log import say
from components.shared.outputs.digest import Digester, digest_bytes, digest_file
from components.shared.outputs.manifest import Manifest, Shard
from components.shared.storable import storable_value
from components.shared.store.store import Store

ROWS_PER_SHARD = 10_000
BYTES_PER_SHARD = 64 << 20
"""Unpacked bytes after which a shard of long rows is full, too."""
SUFFIX = ".jsonl.gz"

SomeRow = TypeVar("SomeRow", bound=BaseModel)


class Packer:
    """Packs rows into the bytes of one shard as they come; `rows` and `bytes` (unpacked) count them.

    A lone surrogate, which UTF-8 cannot encode, is replaced; `mended` counts the rows with one.
    """

    def __init__(self) -> None:
        self.rows = self.bytes = self.mended = 0
        self._buffer = io.BytesIO()
        self._file = gzip.GzipFile(fileobj=self._buffer, mode="wb", mtime=0, compresslevel=4)

    def add(self, row: BaseModel) -> None:
        """Pack a row."""
        self.bytes += self._file.write(self._json(row) + b"\n")
        self.rows += 1

    def finish(self) -> bytes:
        """The shard's bytes; equal rows give equal bytes. Logs how many rows were mended."""
        self._file.close()
        if self.mended:
            what = "contained characters that UTF-8 cannot encode; they were replaced"
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
    return Shard(name=name, rows=rows, bytes=len(data), digest=digest_bytes(data))


def read_shards(store: Store, manifest: Manifest, row_type: type[SomeRow], part: str) -> Iterator[SomeRow]:
    """As `Library.read_rows`, from the store at the manifest's address."""
    for shard in manifest.shards:
        if shard.name.startswith(f"{part}/") and shard.name.endswith(SUFFIX):
            for number, line in enumerate(_lines(store, shard), start=1):
                try:
                    row = parse_row(line, row_type, where=f"{manifest.address}/{shard.name} row {number}")
                except InputError:
                    # Damaged bytes can look like an invalid row before the end, where the digest is checked.
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
            f"{where} is not a valid {row_type.__name__}: {wrong}; it has {_fields_of(line)}",
            rule=f"fields of {row_type.__name__}: {', '.join(row_type.model_fields)}",
            remedy="use the output of the preceding step, made by the same version of Tutelage",
        ) from error


def _fields_of(line: bytes) -> str:
    try:
        value = json.loads(line)
    except ValueError:
        return "no readable fields"
    return f"the fields {', '.join(value)}" if isinstance(value, dict) else "no fields"


def _lines(store: Store, shard: Shard) -> Iterator[bytes]:
    """The shard's lines. The digest is checked at the end, which every reader reaches before it completes an output."""
    digester, unzip, rest = Digester(), zlib.decompressobj(wbits=31), b""
    where = f"{store.uri}/{shard.name}"
    try:
        for chunk in store.read_chunks(shard.name):
            digester.update(chunk)
            *lines, rest = (rest + unzip.decompress(chunk)).split(b"\n")
            yield from lines
    except zlib.error as error:
        raise _damaged(where, str(error)) from error
    _compare(where, shard, digester.digest)


def _require_whole(store: Store, shard: Shard) -> None:
    digester = Digester()
    for chunk in store.read_chunks(shard.name):
        digester.update(chunk)
    _compare(f"{store.uri}/{shard.name}", shard, digester.digest)


def _compare(where: str, shard: Shard, found: str) -> None:
    if found != shard.digest:
        raise _damaged(where, f"its digest is {found}, the manifest says {shard.digest}")


def _damaged(where: str, what: str) -> DamagedError:
    return DamagedError(
        f"{where} is damaged: {what}",
        rule="a shard's digest equals the manifest's",
        remedy="restore the object, or delete its manifest.json and run the step that makes it again",
    )


def read_checked(store: Store, manifest: Manifest, name: str) -> bytes:
    """As `Library.read_bytes`, from the store at the manifest's address."""
    shard = manifest.shard(name)
    data = store.read(name)
    _compare(f"{manifest.address}/{name}", shard, digest_bytes(data))
    return data


def download_checked(store: Store, manifest: Manifest, name: str, path: Path) -> None:
    """As `Library.download`, from the store at the manifest's address; a damaged file is removed."""
    shard = manifest.shard(name)
    store.download(name, path)
    try:
        _compare(f"{manifest.address}/{name}", shard, digest_file(path))
    except DamagedError:
        path.unlink()
        raise
