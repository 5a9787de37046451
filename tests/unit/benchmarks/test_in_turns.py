"""What is timed, and in which order."""

import os
import subprocess
import sys
import time

from benchmarks.in_turns import time_in_turns
from benchmarks.processes import family_of, memory_of, processor_seconds_of
from tests.deadlines import next_line


def spin(seconds: float) -> None:
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass


def test_both_are_called_once_before_and_then_in_turns() -> None:
    calls: list[str] = []
    found = time_in_turns(lambda: (calls.append("ours"), spin(0.02)), lambda: (calls.append("theirs"), spin(0.04)), 3)
    assert calls == ["ours", "theirs", *["ours", "theirs", "theirs", "ours"] * 3]
    assert 0.01 < found.ours_processor_seconds < found.theirs_processor_seconds
    assert 0.3 < found.processor_ratio < 0.8
    assert len(found.processor_ratios) == 3 and found.processor_ratio == sorted(found.processor_ratios)[1]


def test_the_processor_time_and_memory_of_a_family_are_those_of_all_its_processes() -> None:
    before = processor_seconds_of(os.getpid())
    ends = "import time\nwhile time.process_time() < 0.3: pass"
    subprocess.run([sys.executable, "-c", ends], check=True)
    assert processor_seconds_of(os.getpid()) - before >= 0.25
    lives = "held = bytes(range(256)) * 200_000\nprint(flush=True)\ninput()"
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", lives], stdin=pipe, stdout=pipe) as child:
        next_line(child.stdout)
        assert child.pid in family_of(os.getpid())
        assert 48_000 < memory_of(child.pid)[0] < memory_of(os.getpid())[0]
        child.kill()
