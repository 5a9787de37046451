"""kfp.local's subprocess runner, with each step forked from one warm process instead of started from scratch."""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from components.launch.here.fork_server import ForkedProgram, ForkServer
from components.shared.errors import TutelageError

STEP_PROGRAM = "pipelines.local.run_step"
LIBRARIES = (
    *("numpy", "scipy", "pandas", "pyarrow", "sklearn"),
    *("torch", "safetensors", "tokenizers", "transformers", "datasets", "accelerate", "peft", "trl", "deepspeed"),
)
"""What takes a second or more to import. Not ray, which reads the environment of its job when it is imported."""
GPU_DRIVERS = (Path("/proc/driver/nvidia"), Path("/dev/kfd"))
"""What is there where a GPU's driver is loaded: NVIDIA's, AMD's."""


@contextlib.contextmanager
def forked_steps() -> Iterator[None]:
    """While the block lasts, kfp.local forks the steps. Enter it before this process starts a thread.

    With a GPU libraries aren't kept loaded: importing some of them initialises CUDA, which does not survive a fork.
    """
    from kfp.local import subprocess_task_handler

    gpu = any(path.exists() for path in GPU_DRIVERS)
    server = ForkServer(() if gpu else LIBRARIES)
    original = subprocess_task_handler.run_local_subprocess
    # kfp.local has no public way to add a runner.
    subprocess_task_handler.run_local_subprocess = partial(run_forked, server)
    try:
        yield
    finally:
        subprocess_task_handler.run_local_subprocess = original
        server.close()


def run_forked(server: ForkServer, full_command: list[str], env_vars: dict[str, str] | None = None) -> int:
    """Run a step's command line and print what it prints; returns its exit code.

    Raises:
        TutelageError: the command line is not the one that KFP writes for a Python component.
    """
    source, arguments = parse_command(full_command)
    with tempfile.TemporaryDirectory(prefix="tutelage-step-") as folder:
        program_file = Path(folder) / "ephemeral_component.py"
        program_file.write_text(source, encoding="utf-8")
        environment = {**os.environ, **(env_vars or {}), "_KFP_RUNTIME": "true"}
        given = ("--component_module_path", str(program_file), *arguments)
        process = server.start(ForkedProgram(STEP_PROGRAM, given, environment))
        with process.stdout as lines:
            for line in lines:
                print(line, end="")
        return process.wait()


def parse_command(full_command: list[str]) -> tuple[str, list[str]]:
    """A component's source and its arguments, from `sh -ec SCRIPT SOURCE ARGUMENTS`, which KFP's compiler writes."""
    if len(full_command) < 4 or full_command[:2] != ["sh", "-ec"] or "kfp.dsl.executor_main" not in full_command[2]:
        raise TutelageError(
            f"a step with this command line cannot be forked: {' '.join(full_command)[:200]}",
            rule="the locked version of KFP compiles a component to: sh -ec SCRIPT SOURCE ARGUMENTS",
            remedy="make install restores the locked version",
        )
    return full_command[3], full_command[4:]
