"""Deletes what runs that were given up have left in a store: addresses without a manifest, that nobody writes to.

    python -m components.clean_up.unfinished s3://BUCKET/PREFIX --older-than-days 30 [--delete]

An address is left alone when its manifest is there, when anything was put there in the last days, or when its lease is
held by a writer that may be alive. Deleting is done under the lease, as the only writer, and looks again first: a
writer that slept past its lease and comes back finds that it lost it, and one that comes anew waits and begins from
nothing. A deletion that was interrupted is finished by the next.
"""

import argparse
import re
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import groupby

from components.shared import lease
from components.shared.errors import LeaseError, TutelageError
from components.shared.manifest import MANIFEST
from components.shared.output import KEY_LENGTH
from components.shared.store import Entry, Store, open_store

STEPS = ("collect", "curate", "curate-labels", "evaluate", "merge", "publish", "select", "synthesize", "train")
"""First parts of addresses; whatever else lies in a bucket is none of ours."""
ADDRESS = re.compile(rf"(?:{'|'.join(STEPS)})/[0-9a-f]{{{KEY_LENGTH}}}(?=/)")
DAY = 24 * 3600.0


@dataclass(frozen=True)
class Unfinished:
    """An address without a manifest: its objects, their bytes, and when the newest was put (s since the epoch)."""

    address: str
    objects: int
    bytes: int
    newest: float


def find_unfinished(root: str, older_than: float) -> Iterator[Unfinished]:
    """Addresses that nobody has finished, to which nothing was put since a time, and that nobody holds.

    Raises:
        StoreError: the store cannot be listed.
    """
    store = open_store(root)
    for step in STEPS:
        for address, entries in groupby(store.list(f"{step}/"), lambda entry: _address_of(entry.key)):
            found = _measured(address, [_within(address, entry) for entry in entries]) if address else None
            if found and found.newest < older_than and not lease.is_held(store.at(address)):
                yield found


def delete_unfinished(root: str, found: Unfinished, older_than: float) -> bool:
    """Delete everything at an address; False when somebody writes there again, or has finished it.

    Raises:
        StoreError: the store refuses.
    """
    store = open_store(root).at(found.address)
    try:
        with lease.hold(store) as held:
            entries = [entry for entry in store.list() if entry.key != lease.LEASE]
            if not entries:
                return True  # there was a lease and nothing else, and that is gone when it is let go
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
    """What lies at an address; None when it is whole."""
    if any(entry.key == MANIFEST for entry in entries):
        return None
    # A lease tells of its holder, not of the output: who takes one to delete must not make the output look new.
    written = [entry for entry in entries if not entry.key.startswith(lease.LEASE)] or entries
    newest = max(entry.modified for entry in written)
    return Unfinished(address, len(entries), sum(entry.bytes for entry in entries), newest)


def _delete(store: Store, entries: list[Entry], held: lease.Held) -> None:
    """The reverse of writing: small files that say what is whole go first, then the newest.

    Raises LeaseError when another writer took the address over in the meantime.
    """
    for number, entry in enumerate(sorted(entries, key=_as_written, reverse=True)):
        if number % 100 == 0:
            held.require()
        store.delete(entry.key)


def _as_written(entry: Entry) -> tuple[bool, float, str]:
    return entry.key.endswith(".json"), entry.modified, entry.key


def clean_up(root: str, days: float, delete: bool) -> None:
    """Print what is unfinished, or delete it and say so. Raises StoreError."""
    now = time.time()
    older_than = now - days * DAY
    done, left = [], 0
    for found in find_unfinished(root, older_than):
        facts = f"{found.objects} objects, {_size(found.bytes)}, {(now - found.newest) / DAY:.0f} days old"
        if delete and not delete_unfinished(root, found, older_than):
            left += 1
            print(f"left alone    {found.address}  {facts}: somebody writes there now", flush=True)
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
    parser.add_argument("--older-than-days", type=float, default=30.0, help="days that nothing was put (30)")
    parser.add_argument("--delete", action="store_true", help="delete; otherwise only say what would be deleted")
    chosen = parser.parse_args(arguments)
    if not chosen.older_than_days >= 1:
        parser.error(f"--older-than-days {chosen.older_than_days:g}: 1 or more, since younger ones may be at work")
    try:
        clean_up(chosen.root, chosen.older_than_days, chosen.delete)
    except TutelageError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
