"""What the node uses of the machine."""

from collections import Counter
from pathlib import Path

from tests.cluster.node.cgroups import pod_processes
from tests.cluster.node.isolation import processes


def memory_by_program() -> dict[str, float]:
    """Memory of the node's processes by program, in MiB: proportional set size, shared pages counted once."""
    total: Counter[str] = Counter()
    for number in {*processes(), *pod_processes()}:
        try:
            program = Path(f"/proc/{number}/exe").readlink().name
            rows = Path(f"/proc/{number}/smaps_rollup").read_text().splitlines()
        except OSError:
            continue
        total[program] += next(int(row.split()[1]) for row in rows if row.startswith("Pss:"))
    return {program: kibibytes / 1024 for program, kibibytes in total.items()}
