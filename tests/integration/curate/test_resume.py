"""A run that was killed with SIGKILL during labelling continues with the missing labels."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.deadlines import ended

PROGRAM = """
import sys, time
from components.shared.outputs.library import Library
from components.shared.step import Product
from components.curate import curate as work
from components.curate.labels import stored_labels
from components.curate.settings import CurateSettings
from components.models.generators.generator import Reply, Usage
from components.models.generators.openai.settings import OpenAISettings
from components.shared.outputs.output import Output
from components.shared.rows import Instruction, Question
from components.shared.settings import Settings

root, log, pause = sys.argv[1], open(sys.argv[2], "a"), float(sys.argv[3])
stored_labels.ROWS_AT_ONCE = 10

class Teacher:
    def answer(self, requests, sampling):
        for request in requests:
            print(request.key, file=log, flush=True)
            time.sleep(pause)
            yield Reply(key=request.key, text="science / physics")
    def usage(self):
        return Usage()
    def close(self): ...

work.open_generator = lambda settings: Teacher()

def stored(step, rows, content):
    output = Output(Library(root), Product(step, 1, content), Settings(), {})
    output.write_rows("rows/00000", rows)
    return output.finish()

rows = [Instruction(id=f"id{n}", source="s", line=n, instruction=f"Tell me about planet{n}.") for n in range(200)]
question = Question(benchmark="b", id="1", question="What is the capital of France?", answer="Paris")
settings = CurateSettings(teacher=OpenAISettings(model="m"))
instructions, questions = stored("collect", rows, "instruction/1"), stored("bench", [question], "question/1")
made = work.curate_instructions(Library(root), settings, instructions, questions)
print(int(made.counts["rows_out"]))
"""


def start(root: Path, log: Path, pause: float) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", PROGRAM, str(root), str(log), str(pause)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def asked(log: Path) -> list[str]:
    return log.read_text().split() if log.exists() else []


def test_stored_labels_are_not_requested_again(tmp_path: Path) -> None:
    root, first, second = tmp_path / "root", tmp_path / "first", tmp_path / "second"
    process = start(root, first, pause=0.02)
    deadline = time.monotonic() + 240
    while len(asked(first)) < 45 and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    ended(process)
    done = asked(first)
    assert 45 <= len(done) < 200

    again = start(root, second, pause=0.0)
    out, _ = again.communicate(timeout=240)
    assert out.strip() == "200"
    # At most one shard's worth of labels was on its way when the process died.
    repeated = set(done) & set(asked(second))
    assert len(repeated) <= 11
    assert set(done) | set(asked(second)) == {f"id{number}" for number in range(200)}
    assert len(asked(second)) == len(set(asked(second)))
