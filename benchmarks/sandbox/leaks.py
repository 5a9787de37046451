"""What programs leave behind: processes, files, descriptors and threads of the process that runs them."""

import ctypes
import os
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.processes import family_of
from benchmarks.sandbox.programs import MARK, OUTSIDE

PR_SET_CHILD_SUBREAPER = 36
PAGE_MIB = os.sysconf("SC_PAGE_SIZE") / 2**20


@dataclass(frozen=True)
class Held:
    """What this process holds: counts, and its resident memory in MiB."""

    processes: int
    files: int
    descriptors: int
    threads: int
    resident_mib: float

    def since(self, before: "Held") -> dict[str, float]:
        """What came since then."""
        counts = ("processes", "files", "descriptors", "threads")
        return {name: getattr(self, name) - getattr(before, name) for name in counts} | {
            "resident_mib": round(self.resident_mib - before.resident_mib, 1)
        }


class Watched:
    """Counts what is there.

    Args:
        folder: where this process makes its temporary folders.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def held(self) -> Held:
        """What this process holds now."""
        return Held(
            processes=len(family_of(os.getpid())) - 1,
            files=len(list(self._folder.iterdir())) + sum(map(_marked, OUTSIDE)),
            descriptors=len(os.listdir("/proc/self/fd")),  # noqa: PTH208 - as the descriptors' table names them
            threads=threading.active_count(),
            resident_mib=int(Path("/proc/self/statm").read_text().split()[1]) * PAGE_MIB,
        )


@contextmanager
def watched() -> Iterator[Watched]:
    """Meanwhile temporary folders of this process are in one of their own, and it adopts orphans, which are counted."""
    before = tempfile.tempdir
    with tempfile.TemporaryDirectory() as folder:
        tempfile.tempdir = folder
        _adopt_orphans(True)
        try:
            yield Watched(Path(folder))
        finally:
            _adopt_orphans(False)
            tempfile.tempdir = before


def _adopt_orphans(whether: bool) -> None:
    """Become the parent of processes below this one whose own parent has ended (prctl(2))."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, int(whether), 0, 0, 0)


def _marked(folder: str) -> int:
    """Files that a program wrote outside its own folder; `..` of that folder is counted by itself."""
    place = Path(folder)
    return len(list(place.glob(f"{MARK}-*"))) if place.is_absolute() and place.is_dir() else 0
