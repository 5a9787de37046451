"""Importing the pipeline is free of what only jobs need; how long it takes, `benchmarks/start.py` measures."""

import subprocess
import sys

HEAVY = ("torch", "ray", "transformers", "trl", "deepspeed", "datasets", "lm_eval", "mergekit", "matplotlib", "numpy")
PROBE = f"""
import sys
import pipelines.registry, pipelines.distill.graph
print(",".join(name for name in {HEAVY!r} if name in sys.modules))
"""


def test_importing_the_pipeline_loads_nothing_heavy() -> None:
    done = subprocess.run([sys.executable, "-c", PROBE], capture_output=True, text=True, check=True, timeout=600)
    assert done.stdout == "\n"
