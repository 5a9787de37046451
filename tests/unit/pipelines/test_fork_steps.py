"""Steps of a local run are forked from one process; kfp.local sees no difference."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from components.clean_up.component import clean_up
from components.shared.errors import TutelageError
from pipelines.local.fork_steps import parse_command

ROOT = Path(__file__).parents[3]
PIPELINE = """
import sys
from kfp import dsl, local
from pipelines.local.fork_steps import forked_steps

@dsl.component(base_image="python:3", install_kfp_package=False)
def first(given: int) -> int:
    import os
    print(f"first has the parent {os.getppid()}.")
    return given + 1

@dsl.component(base_image="python:3", install_kfp_package=False)
def second(given: int, exit_code: int):
    import os, sys
    print(f"second has the parent {os.getppid()}.")
    print(f"it got {given}.")
    sys.exit(exit_code)

@dsl.pipeline(name="made-up")
def made_up(exit_code: int = 0):
    second(given=first(given=1).output, exit_code=exit_code)

folder, exit_code = sys.argv[1:]
local.init(local.SubprocessRunner(use_venv=False), pipeline_root=folder, raise_on_error=True)
with forked_steps():
    made_up(exit_code=int(exit_code))
print("succeeded")
"""


def run(folder: Path, exit_code: int) -> "subprocess.CompletedProcess[str]":
    file = folder / "made_up.py"
    file.write_text(PIPELINE)
    command = [sys.executable, str(file), str(folder / "kfp"), str(exit_code)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=600)


def test_the_steps_of_a_run_are_forked_from_one_process(tmp_path: Path) -> None:
    done = run(tmp_path, 0)
    assert done.returncode == 0 and "succeeded" in done.stdout, done.stderr
    assert "it got 2." in done.stdout
    said = [line.split("has the parent ")[1] for line in done.stdout.splitlines() if "has the parent" in line]
    assert len(said) == 2 and len({*said}) == 1


def test_a_step_that_fails_ends_the_run(tmp_path: Path) -> None:
    done = run(tmp_path, 3)
    assert done.returncode == 1 and "succeeded" not in done.stdout
    assert "FAILURE" in done.stdout + done.stderr


def test_the_command_line_that_kfp_writes_is_read() -> None:
    container = clean_up.component_spec.implementation.container
    source, arguments = parse_command([*container.command, *container.args])
    assert "def clean_up(" in source
    assert arguments[-2:] == ["--function_to_execute", "clean_up"]


def test_another_command_line_is_refused() -> None:
    with pytest.raises(TutelageError, match="cannot be forked"):
        parse_command(["python", "main.py"])
