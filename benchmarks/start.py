"""How long it takes until a user's command, or a component's pod, has imported what it needs.

    python -m benchmarks.start

Prints processor seconds, the minimum of five starts of each.
"""

import subprocess
import sys
from collections.abc import Sequence

MODULES = ("kfp.dsl", "pipelines.distill.graph", "pipelines.cli.main", "components.launch.follow.run_on_cluster")
STARTS = 5
PROBE = "import time; began = time.process_time(); import {module}; print(time.process_time() - began)"


def main(modules: Sequence[str] = MODULES) -> None:
    """Measure and print a line for each module."""
    for module in modules:
        print(f"{module:32}{min(seconds_of(module) for _ in range(STARTS)):6.2f} s")


def seconds_of(module: str) -> float:
    """Processor seconds of one import in a new process."""
    done = subprocess.run([sys.executable, "-c", PROBE.format(module=module)], capture_output=True, check=True)
    return float(done.stdout)


if __name__ == "__main__":
    main()
