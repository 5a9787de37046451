"""Memory and processor time of a process and of all that it has started."""

import os
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")


def family_of(first: int) -> list[int]:
    """A process and all that it has started, and what those have started."""
    parents: dict[int, int] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(path.parent.name)] = int(path.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
    family = [first]
    for process in family:
        family += [child for child, parent in parents.items() if parent == process]
    return family


def memory_of(first: int) -> tuple[int, int]:
    """Private and mapped memory of a process and its family, in KiB; what several share is counted once."""
    private = mapped = 0
    for process in family_of(first):
        try:
            lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()[1:]
        except OSError:
            continue
        parts = {name: int(value.split()[0]) for name, value in (line.split(":") for line in lines)}
        private, mapped = private + parts["Pss_Anon"], mapped + parts["Pss_File"]
    return private, mapped


def processor_seconds_of(first: int) -> float:
    """User and system time of a process and its family, those that have ended included."""
    ticks = 0
    for process in family_of(first):
        try:
            fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        # utime and stime, and those of children that were waited for: fields 14 to 17 of proc_pid_stat(5).
        ticks += sum(map(int, fields[11:15]))
    return ticks / TICKS
