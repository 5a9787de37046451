"""Runs a job on this machine: a Ray driver as a subprocess, or torchrun with one process for each rank.

A job never outlives its step. It gets SIGTERM when the step is interrupted, terminated or out of time, and SIGKILL
after a grace period; the kernel ends it when the step itself is killed.
"""

import collections
import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from typing import IO

from components.launch.here.follow_parent import die_with_parent
from components.launch.here.fork_server import ForkedProcess, ForkedProgram, job_server
from components.launch.here.torchrun import PRELOAD
from components.launch.job import TAIL_LINES, Job, ProgramFailedError, with_last_lines
from components.shared.errors import JobError, SettingsError
from components.shared.process.signals import sigterm_raises

SIGKILLED = 128 + signal.SIGKILL
REMEDY = "see the log above; run again to continue from what is done"
GRACE_SECONDS = 15.0
LAST_LINES_SECONDS = 5.0
LOOPBACK = {"GLOO_SOCKET_IFNAME": "lo", "NCCL_SOCKET_IFNAME": "lo", "TP_SOCKET_IFNAME": "lo"}

Process = subprocess.Popen[str] | ForkedProcess


def command_of(job: Job) -> list[str]:
    """The command line of a job on this machine."""
    module = ["-m", job.module, *job.arguments]
    if job.program == "ray":
        return [sys.executable, *module]
    ranks = f"--nproc-per-node={job.launch.processes_per_node}"
    torchrun = [sys.executable, "-m", "components.launch.here.torchrun", *([PRELOAD] if job.preload else [])]
    return [*torchrun, "--standalone", "--local-addr=127.0.0.1", ranks, *module]


def run_locally(job: Job) -> None:
    """Run the job and relay its log. Raises JobError when it fails or runs longer than its timeout."""
    if job.launch.nodes != 1:
        raise SettingsError(
            f"launcher 'local' cannot run {job.launch.nodes} nodes",
            rule="one machine is one node",
            remedy="set nodes to 1",
        )
    tail: collections.deque[str] = collections.deque(maxlen=TAIL_LINES)
    with _started(job) as process, sigterm_raises():
        reader = threading.Thread(target=_relay, args=(process.stdout, tail), daemon=True)
        reader.start()
        try:
            code: int | None = process.wait(job.launch.timeout_seconds)
        except subprocess.TimeoutExpired:
            code = None
        # Processes that the job has left running would keep the pipe open, and the log would not end.
        _end(process)
        reader.join(LAST_LINES_SECONDS)
    if code != 0:
        raise _failure(job, code, list(tail))


def environment_of(job: Job) -> dict[str, str]:
    """The job's environment: torchrun's ranks share the cores, and communicate over the loopback device alone."""
    ours = {"PYTHONUNBUFFERED": "1"}
    if job.program == "torchrun":
        ours |= {**LOOPBACK, "OMP_NUM_THREADS": str(job.launch.cpus_per_process)}
    return {**os.environ, **ours, **job.launch.environment}


@contextlib.contextmanager
def _started(job: Job) -> Iterator[Process]:
    process = _start(job)
    try:
        yield process
    finally:
        _end(process)


def _start(job: Job) -> Process:
    """A new process, or where this one has a fork server, a fork that shares its libraries.

    Libraries read many variables when they are imported: a job with variables of its own starts from scratch.
    """
    server = job_server()
    if server is not None and not job.launch.environment:
        _, _, module, *arguments = command_of(job)
        environment, sent = environment_of(job), _on_parent_death(job)
        return server.start(ForkedProgram(module, tuple(arguments), environment, sent, own_session=True))
    return subprocess.Popen(
        command_of(job),
        env=environment_of(job),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        errors="replace",
        start_new_session=True,
        # One call of prctl, which takes no lock.
        preexec_fn=partial(die_with_parent, _on_parent_death(job), os.getpid()),  # noqa: PLW1509
    )


def _on_parent_death(job: Job) -> signal.Signals:
    """A Ray driver needs SIGTERM to stop its cluster; torchrun's ranks die with it, so SIGKILL is enough."""
    return signal.SIGTERM if job.program == "ray" else signal.SIGKILL


def _relay(lines: IO[str] | None, tail: collections.deque[str]) -> None:
    assert lines is not None
    for line in lines:
        tail.append(line.rstrip())
        print(line, end="", file=sys.stderr, flush=True)


def _end(process: Process) -> None:
    """End all processes of the job's group: SIGTERM, and SIGKILL for those that remain after a grace period."""
    if process.poll() is None:
        _signal_group(process, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(GRACE_SECONDS)
    _signal_group(process, signal.SIGKILL)
    process.wait()


def _signal_group(process: Process, sent: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, sent)


def _failure(job: Job, code: int | None, tail: list[str]) -> JobError:
    """The launcher's own words; a program that recorded its failure says more (components/launch/hand_back)."""
    how = f"ended with exit code {code}"
    if code is None:
        how = f"ran longer than {job.launch.timeout_seconds:.0f} s (launch.timeout_seconds)"
    problem = with_last_lines(f"job {job.name} ({job.module}) {how}", tail)
    if code is None or code < 0 or code == SIGKILLED:
        return JobError(problem, remedy=REMEDY)
    return ProgramFailedError(problem, code, remedy=REMEDY)
