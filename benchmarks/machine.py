"""Describes the machine on which a number was measured."""

import os
import platform
from pathlib import Path


def describe_machine() -> str:
    """Cores, processor, memory and Python of this machine."""
    model = next(
        (line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line),
        platform.machine(),
    )
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    return f"{os.cpu_count()} cores ({model}), {memory:.0f} GiB, Linux, Python {platform.python_version()}"
