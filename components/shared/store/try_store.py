"""Checks a store: `python -m components.shared.store.try_store [ROOT]`, on this machine or in a pod of the cluster.

`--package NAME` also checks what is installed there.
"""

import argparse
import sys
import uuid
from importlib.util import find_spec

from components.shared.errors import ExistsError, StoreError, TutelageError
from components.shared.store.open_store import open_store


def try_store(uri: str) -> str:
    """Write, read, list and delete an object, and try the conditional put that leases need. Raises StoreError."""
    store = open_store(uri)
    key = f"doctor-{uuid.uuid4().hex}"
    store.write(key, b"tutelage", only_if_absent=True)
    try:
        store.write(key, b"again", only_if_absent=True)
    except ExistsError:
        pass
    else:
        raise StoreError(
            f"{uri} ignores conditional puts (If-None-Match)",
            remedy="use a store that supports them: leases require them",
        )
    finally:
        read, listed = store.read(key), [entry.key for entry in store.list(key)]
        store.delete(key)
    if read != b"tutelage" or listed != [key]:
        raise StoreError(f"{uri} returns other bytes than were written", remedy="check the store")
    return "write, read, list, conditional put and delete work"


def main() -> int:
    """Try the store named on the command line; without one, only that this program runs."""
    parser = argparse.ArgumentParser(prog="python -m components.shared.store.try_store", description="Try a store.")
    parser.add_argument("root", nargs="?", help="URI of a store: s3://BUCKET/FOLDER, or a folder; none: say `runs`")
    parser.add_argument("--package", action="append", default=[], help="a package that must be installed here")
    given = parser.parse_args()
    root: str | None = given.root
    if missing := [name for name in given.package if find_spec(name) is None]:
        print(f"No module named {missing[0]!r}")
        return 1
    try:
        print(try_store(root) if root else "runs")
    except TutelageError as error:
        print(error)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
