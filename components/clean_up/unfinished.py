"""Deletes what abandoned runs have left in a store: addresses without a manifest that nobody writes to.

    python -m components.clean_up.unfinished s3://BUCKET/PREFIX --older-than-days 30 [--delete]

An address is kept when it has a manifest, when an object was put there in the last days, or when its lease is held by
a writer that may be running. An address is deleted under its lease, after checking it again: a writer that was
suspended past its lease finds that it lost it, and a new one waits and starts from scratch. The next run completes an
interrupted deletion.
"""

import argparse
import re
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import groupby

from components.registry import STEPS
from components.shared.errors import LeaseError, TutelageError
from components.shared.outputs.manifest import MANIFEST
from components.shared.outputs.output import KEY_LENGTH
from components.shared.store import lease
from components.shared.store.open_store import open_store
from components.shared.store.store import Entry, Store

PLACES = sorted({product.place for step in STEPS.values() for product in step.products})
"""First parts of addresses; other objects in a bucket are never touched."""
ADDRESS = re.compile(rf"(?:{'|'.join(PLACES)})/[0-9a-f]{{{KEY_LENGTH}}}(?=/)")
DAY = 24 * 3600.0


@dataclass(frozen=True)
class Unfinished:
    """An address without a manifest: its objects, their bytes, and when the newest was put (s since the epoch)."""

    address: str
    objects: int
    bytes: int
    newest: float


def find_unfinished(root: str, older_than: float) -> Iterator[Unfinished]:
    """Unfinished addresses to which nothing was put since `older_than` (s since the epoch), and that nobody holds.

    Raises:
        StoreError: the store cannot be listed.
    """
    store = open_store(root)
    for place in PLACES:
        for address, entries in groupby(store.list(f"{place}/"), lambda entry: _address_of(entry.key)):
            found = _measured(address, [_within(address, entry) for entry in entries]) if address else None
            if found and found.newest < older_than and not lease.is_held(store.at(address)):
                yield found


def delete_unfinished(root: str, found: Unfinished, older_than: float) -> bool:
    """Delete everything at an address; False when another writer has resumed or completed it.

    Raises:
        StoreError: the store refuses.
    """
    store = open_store(root).at(found.address)
    try:
        with lease.hold(store) as held:
            entries = [entry for entry in store.list() if entry.key != lease.LEASE]
            if not entries:
                return True  # there was only a lease, which is deleted when it is released
            now = _measured(found.address, entries)
            if now is None or now.newest >= older_than:
                return False
            _delete(store, entries, held)
    except LeaseError:
        return False
    return True


def _address_of(key: str) -> str:
    match = ADDRESS.match(key)
    return match[0] if match else ""


def _within(address: str, entry: Entry) -> Entry:
    return replace(entry, key=entry.key.removeprefix(f"{address}/"))


def _measured(address: str, entries: list[Entry]) -> Unfinished | None:
    """Size and age of an address; None when it is complete."""
    if any(entry.key == MANIFEST for entry in entries):
        return None
    # A lease is not part of the output: taking one to delete must not make the output look new.
    written = [entry for entry in entries if not entry.key.startswith(lease.LEASE)] or entries
    newest = max(entry.modified for entry in written)
    return Unfinished(address, len(entries), sum(entry.bytes for entry in entries), newest)


def _delete(store: Store, entries: list[Entry], held: lease.Held) -> None:
    """In the reverse order of writing: the small JSON files first, which mark parts as complete, then the newest.

    Raises LeaseError when another writer has taken the address over.
    """
    for number, entry in enumerate(sorted(entries, key=_as_written, reverse=True)):
        if number % 100 == 0:
            held.require()
        store.delete(entry.key)


def _as_written(entry: Entry) -> tuple[bool, float, str]:
    return entry.key.endswith(".json"), entry.modified, entry.key


def clean_up(root: str, days: float, delete: bool) -> None:
    """Print what is unfinished, or delete it and print that. Raises StoreError."""
    now = time.time()
    older_than = now - days * DAY
    done, left = [], 0
    for found in find_unfinished(root, older_than):
        facts = f"{found.objects} objects, {_size(found.bytes)}, {(now - found.newest) / DAY:.0f} days old"
        if delete and not delete_unfinished(root, found, older_than):
            left += 1
            print(f"left alone    {found.address}  {facts}: another writer is active", flush=True)
            continue
        done.append(found)
        print(f"{'deleted' if delete else 'would delete':<13} {found.address}  {facts}", flush=True)
    what = "deleted" if delete else "to delete (--delete does it)"
    also = f"; {left} left alone" if left else ""
    print(f"{root}: {len(done)} unfinished addresses, {_size(sum(one.bytes for one in done))}, {what}{also}")


def _size(count: float) -> str:
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.0f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"


def main(arguments: list[str] | None = None) -> int:
    """Clean up the store named on the command line."""
    parser = argparse.ArgumentParser(prog="python -m components.clean_up.unfinished", description=__doc__)
    parser.add_argument("root", help="the store: s3://BUCKET/PREFIX or a folder")
    parser.add_argument(
        "--older-than-days", type=float, default=30.0, help="days since the last object was put (default: 30)"
    )
    parser.add_argument("--delete", action="store_true", help="delete; without it, only print what would be deleted")
    chosen = parser.parse_args(arguments)
    if not chosen.older_than_days >= 1:
        parser.error(
            f"--older-than-days {chosen.older_than_days:g}: must be 1 or more, since younger addresses may be in use"
        )
    try:
        clean_up(chosen.root, chosen.older_than_days, chosen.delete)
    except TutelageError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
