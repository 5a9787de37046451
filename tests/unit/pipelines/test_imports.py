"""Importing the pipeline is quick and free of what only jobs need."""

import subprocess
import sys

HEAVY = ("torch", "ray", "transformers", "trl", "deepspeed", "datasets", "lm_eval", "mergekit", "matplotlib")
PROBE = f"""
import sys, time
began = time.process_time()
import pipelines.distill
print(time.process_time() - began)
print(",".join(name for name in {HEAVY!r} if name in sys.modules))
"""


def probe() -> tuple[float, str]:
    done = subprocess.run([sys.executable, "-c", PROBE], capture_output=True, text=True, check=True)
    seconds, heavy = done.stdout.split("\n")[:2]
    return float(seconds), heavy


def test_importing_the_pipeline_loads_nothing_heavy() -> None:
    assert probe()[1] == ""


def test_importing_the_pipeline_takes_less_than_a_second_and_a_half() -> None:
    """The best of a few, in processor time, so that a busy machine does not count."""
    assert min(probe()[0] for _ in range(3)) < 1.5
