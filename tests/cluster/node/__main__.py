"""The node's command line: python -m tests.cluster.node COMMAND.

up                     build what is missing, start, install operators and storage; prints export KUBECONFIG=…
down                   end the node; nothing is left on the machine but files
left                   what is left of the node on the machine besides files, one line each; fails if there is anything
build                  only build what is missing
trainer VERSION        replace Kubeflow Trainer by another version
load ARCHIVE [NAME]    import an image from an OCI archive
usage                  memory of the node's processes, in MiB
remove                 end the node and remove its files with all images (programs stay in the cache)
"""

import fcntl
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.cluster.node.build import build_missing
from tests.cluster.node.containers import load_archive
from tests.cluster.node.errors import NodeError
from tests.cluster.node.operators import switch_trainer
from tests.cluster.node.places import KUBECONFIG, STATE
from tests.cluster.node.start import start_node
from tests.cluster.node.stop import leftovers, stop_node
from tests.cluster.node.usage import memory_by_program


def up() -> None:
    """Start the node and print how to reach it."""
    start_node()
    print(f"export KUBECONFIG={KUBECONFIG}")


def left() -> None:
    """Print what is left of the node."""
    found = leftovers()
    print("\n".join(found or ["nothing is left of the node"]))
    if found:
        raise SystemExit(1)


def usage() -> None:
    """Print the memory of each program, largest first."""
    rows = sorted(memory_by_program().items(), key=lambda row: -row[1])
    for program, mebibytes in [*rows, ("all", sum(size for _, size in rows))]:
        print(f"{mebibytes:8.0f}  {program}")


def remove() -> None:
    """End the node and remove its files."""
    stop_node()
    shutil.rmtree(STATE)


COMMANDS: dict[str, Callable[..., object]] = {
    "up": up,
    "down": stop_node,
    "left": left,
    "build": build_missing,
    "trainer": switch_trainer,
    "load": lambda archive, name="": print(load_archive(Path(archive), name)),
    "usage": usage,
    "remove": remove,
}


def main(words: Sequence[str]) -> int:
    """Run one command; returns the exit code."""
    if not words or words[0] not in COMMANDS:
        print(__doc__, file=sys.stderr)
        return 2
    STATE.mkdir(parents=True, exist_ok=True)
    try:
        with (STATE.parent / f"{STATE.name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # two checkouts at once take turns
            COMMANDS[words[0]](*words[1:])
    except NodeError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
