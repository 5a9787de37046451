"""Runs a job on this machine: a Ray driver as a subprocess, or torchrun with one process for each rank.

A job never outlives its step: it gets SIGTERM when the step is interrupted, terminated or out of time (SIGKILL after a
grace period), and the kernel ends it when the step itself is killed.
"""

import collections
import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import IO

from components.launch.follow_parent import die_with_parent
from components.launch.job import Job
from components.launch.torchrun import PRELOAD
from components.shared.errors import TEMPORARY_EXIT_CODE, JobError, SettingsError

TAIL_LINES = 60
GRACE_SECONDS = 15.0
LAST_LINES_SECONDS = 5.0
LOOPBACK = {"GLOO_SOCKET_IFNAME": "lo", "NCCL_SOCKET_IFNAME": "lo", "TP_SOCKET_IFNAME": "lo"}

Process = subprocess.Popen[str]


def command_of(job: Job) -> list[str]:
    """The command line that a job runs here."""
    module = ["-m", job.module, *job.arguments]
    if job.program == "ray":
        return [sys.executable, *module]
    ranks = f"--nproc-per-node={job.launch.processes_per_node}"
    torchrun = [sys.executable, "-m", "components.launch.torchrun", *([PRELOAD] if job.preload else [])]
    return [*torchrun, "--standalone", "--local-addr=127.0.0.1", ranks, *module]


def run_locally(job: Job) -> None:
    """Run the job and pass on its log. Raises JobError when it fails or outlasts its time."""
    if job.launch.nodes != 1:
        raise SettingsError(
            f"launcher 'local' cannot run {job.launch.nodes} nodes",
            rule="one machine is one node",
            remedy="set nodes to 1",
        )
    tail: collections.deque[str] = collections.deque(maxlen=TAIL_LINES)
    with _started(job) as process, _terminated_by_sigterm():
        reader = threading.Thread(target=_pass_on, args=(process.stdout, tail), daemon=True)
        reader.start()
        try:
            code: int | None = process.wait(job.launch.timeout_seconds)
        except subprocess.TimeoutExpired:
            code = None
        # What the job has left running would hold the pipe open, and the log would have no end.
        _end(process)
        reader.join(LAST_LINES_SECONDS)
    if code != 0:
        raise _failure(job, code, list(tail))


def environment_of(job: Job) -> dict[str, str]:
    """The job's environment: torchrun's ranks share the cores and speak over the loopback device alone."""
    ours = {"PYTHONUNBUFFERED": "1"}
    if job.program == "torchrun":
        ours |= {**LOOPBACK, "OMP_NUM_THREADS": str(job.launch.cpus_per_process)}
    return {**os.environ, **ours, **job.launch.environment}


@contextlib.contextmanager
def _started(job: Job) -> Iterator[Process]:
    process = subprocess.Popen(
        command_of(job),
        env=environment_of(job),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        errors="replace",
        start_new_session=True,
        preexec_fn=_parent_watch(job),  # noqa: PLW1509 - one prctl call, no lock is taken
    )
    try:
        yield process
    finally:
        _end(process)


def _parent_watch(job: Job) -> Callable[[], None]:
    """A Ray driver takes its cluster down on SIGTERM; torchrun's ranks die with it, so it may go at once."""
    sent = signal.SIGTERM if job.program == "ray" else signal.SIGKILL
    return lambda: die_with_parent(sent)


@contextlib.contextmanager
def _terminated_by_sigterm() -> Iterator[None]:
    """Turn SIGTERM into KeyboardInterrupt, so that the job is ended and the lease is given back."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, _interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _pass_on(lines: IO[str] | None, tail: collections.deque[str]) -> None:
    assert lines is not None
    for line in lines:
        tail.append(line.rstrip())
        print(line, end="", file=sys.stderr, flush=True)


def _end(process: Process) -> None:
    """End the job's whole process group: SIGTERM, then SIGKILL for what is left after a grace period."""
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
    how = f"ran past its {job.launch.timeout_seconds:.0f} s" if code is None else f"ended with exit code {code}"
    lines = told_failures(tail) or tail[-10:]
    error = JobError(
        f"job {job.name} ({job.module}) {how}; its last lines:\n" + "\n".join(f"    {line}" for line in lines),
        remedy="see the log above; run again to continue from what is done",
        temporary=code == TEMPORARY_EXIT_CODE,
    )
    error.exit_code = SettingsError.exit_code if code == SettingsError.exit_code else JobError.exit_code
    return error


def told_failures(tail: list[str]) -> list[str]:
    """The lines in which a job says what failed: `[…] FAILED …` and the indented ones below it."""
    found: list[str] = []
    inside = False
    for line in tail:
        inside = "] FAILED " in line or (inside and line.startswith("  "))
        found += [line] if inside else []
    return found
