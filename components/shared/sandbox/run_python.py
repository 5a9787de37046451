"""Runs Python that a model wrote: in a process of its own, without network, within limits.

    outcome = run_python("assert sorted([2, 1]) == [1, 2]", limits=SandboxLimits(wall_seconds=5))
    outcome.completed

Every run is a new interpreter (`-S -s -P`, no site packages) with an empty environment, closed descriptors and an empty
temporary working folder, removed afterwards. No privilege, package, container or user namespace is needed, so the
same holds on a laptop and in a pod under the restricted Pod Security Standard.

What is guaranteed with `isolation="confined"` (the default; SandboxError where there are no seccomp filters):

- seccomp (system_calls.py, an allow list): no sockets but a connected pair, hence no network, not even the loopback
  interface; no new process and no other program, hence nothing is left behind and there is no fork bomb; no signal to
  another process; no ptrace, mount, namespace, io_uring. x86-64 and arm64.
- rlimits: CPU seconds, address space, size of a file, open files, no core files. Threads are possible; each takes
  address space.
- the parent: wall-clock seconds, bytes of output, bytes and number of files in the working folder; it kills the whole
  process group at the end, and the kernel kills the process when the parent dies.
- Landlock (landlock.py), where the kernel has it: files can be read only in Python's and the system's library
  folders, and written only in the working folder (flat files, no folders) and /dev/null. On kernels before 6.2, or
  without Landlock, no file can be opened for writing at all; without Landlock files that the user may read can be
  read, but what was read can leave only through `SandboxOutcome`.

What is not: a program shares its interpreter with the tests that judge it, so one that is written to deceive can
forge `completed`; names and sizes of files outside (stat) can be seen; and a bug in the kernel is not defended against.
`isolation="process"` keeps only the rlimits and the parent's part: no protection of network, files or other processes.
"""

import json
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import Field

from components.shared.errors import SandboxError
from components.shared.sandbox.watch import Passed, Watch
from components.shared.settings import Settings

PROGRAM = Path(__file__).with_name("child.py")

Isolation = Literal["confined", "process"]
Ended = Literal["itself", "cpu", "memory", "wall", "output", "files"]


class SandboxLimits(Settings):
    """What a run may use. There is always one process: new ones are refused."""

    cpu_seconds: int = Field(10, ge=1, description="processor time, in whole seconds")
    wall_seconds: float = Field(15.0, gt=0, description="time on the clock, in seconds")
    memory_bytes: int = Field(
        1 << 30, ge=64 << 20, description="address space, in bytes (Python itself takes some 30 MB)"
    )
    output_bytes: int = Field(1 << 20, ge=0, description="stdout and stderr together, in bytes")
    file_bytes: int = Field(1 << 20, ge=0, description="largest file that may be written, in bytes")
    folder_bytes: int = Field(16 << 20, ge=0, description="all files in the working folder together, in bytes")
    folder_files: int = Field(64, ge=0, description="files in the working folder")
    open_files: int = Field(32, ge=8, description="open file descriptors")
    isolation: Isolation = Field(
        "confined",
        description="confined: by seccomp and Landlock; process: limits only, network and files stay open",
    )


@dataclass(frozen=True)
class SandboxOutcome:
    """How a run ended.

    Args:
        completed: whether the source ran to its last line. A program that calls sys.exit(0) on the way has not.
        exit_code: as of a shell; negative for the signal that killed it.
        ended: `itself`, or the limit that was passed: `cpu`, `memory` (a MemoryError that nobody caught), `wall`,
            `output`, `files`.
        stdout, stderr: what was written, truncated at the limit; bytes that are not UTF-8 are replaced.
        seconds: wall-clock time, the interpreter's start included.
        mechanisms: what confined it: `rlimits`, `seccomp`, `landlock`.
    """

    completed: bool
    exit_code: int
    ended: Ended
    stdout: str
    stderr: str
    seconds: float
    mechanisms: tuple[str, ...]


def run_python(source: str, *, stdin: str = "", limits: SandboxLimits = SandboxLimits()) -> SandboxOutcome:  # noqa: B008 - frozen
    """Run Python source in the sandbox and wait for it.

    Raises:
        SandboxError: the requested isolation is unavailable on this machine; nothing was run.
    """
    token, began = secrets.token_hex(16), time.monotonic()
    with _working_folder() as folder, _started(folder) as (process, report, told):
        watch = Watch(process, report, folder, _input(source, stdin, limits, token, told), limits)
        passed = watch.to_the_end(deadline=began + limits.wall_seconds)
    return _outcome(watch, process.returncode, passed, token, limits, time.monotonic() - began)


def missing_mechanism() -> str:
    """Why confined runs are unavailable on this machine; empty when they are available."""
    try:
        run_python("")
    except SandboxError as error:
        return error.problem
    return ""


@contextmanager
def _working_folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="tutelage-sandbox-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


@contextmanager
def _started(folder: Path) -> Iterator[tuple["subprocess.Popen[bytes]", int, int]]:
    """The process, the descriptor to read its report from, and the number of the one that it writes to."""
    report, told = os.pipe()
    try:
        process = _start(folder, told)
    except OSError:
        os.close(report)
        raise
    finally:
        os.close(told)
    try:
        yield process, report, told
    finally:
        # Its PID is not reused until it has been waited for, so no other group can be killed.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream is not None:
                with suppress(OSError):
                    stream.close()
        os.close(report)


def _start(folder: Path, told: int) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        # -E would hide PYTHONHASHSEED, which makes runs repeatable; nothing else is in the environment.
        [sys.executable, "-S", "-s", "-P", "-B", "-X", "utf8", str(PROGRAM)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        bufsize=0,
        cwd=folder,
        env={"PYTHONHASHSEED": "0"},
        pass_fds=(told,),
        start_new_session=True,
    )


def _input(source: str, stdin: str, limits: SandboxLimits, token: str, told: int) -> bytes:
    """What the process reads: the header's length in eight digits, the header, the source, its stdin."""
    code = source.encode("utf-8", "surrogatepass")
    confined = limits.isolation == "confined"
    header = {
        "parent": os.getpid(),
        "report": told,
        "token": token,
        "source_bytes": len(code),
        "confined": confined,
        "limits": {
            # A program can catch SIGXCPU; SIGKILL follows a second later.
            "CPU": (limits.cpu_seconds, limits.cpu_seconds + 1),
            "AS": (limits.memory_bytes, limits.memory_bytes),
            "FSIZE": (limits.file_bytes, limits.file_bytes),
            "NOFILE": (limits.open_files, limits.open_files),
            # Without a filter this is all that hinders new processes; it does not bind root (setrlimit(2)).
            **({} if confined else {"NPROC": (0, 0)}),
        },
    }
    line = json.dumps(header).encode()
    return b"%08d" % len(line) + line + code + stdin.encode("utf-8", "replace")


def _outcome(  # noqa: PLR0917 - the facts of one run
    watch: Watch, code: int, passed: Passed, token: str, limits: SandboxLimits, seconds: float
) -> SandboxOutcome:
    report = watch.text("report").splitlines()
    state, _, detail = (report[0] if report else "").partition(" ")
    if state != "ready" and passed is None:
        raise _refusal(detail or f"the process ended with {code}: {watch.text('stderr')[-300:].strip()}")
    stderr = watch.text("stderr")
    ended: Ended = passed or "itself"
    if passed is None and code in (-signal.SIGXCPU, -signal.SIGKILL) and seconds >= limits.cpu_seconds:
        ended = "cpu"
    elif passed is None and code != 0 and stderr.rstrip().rpartition("\n")[2].startswith("MemoryError"):
        ended = "memory"
    return SandboxOutcome(
        completed=passed is None and code == 0 and token in report[1:],
        exit_code=code,
        ended=ended,
        stdout=watch.text("stdout"),
        stderr=stderr,
        seconds=seconds,
        mechanisms=tuple(detail.split()),
    )


def _refusal(reason: str) -> SandboxError:
    return SandboxError(
        f"code cannot be run in isolation here: {reason}",
        rule="model-written code runs only with seccomp filters (Linux on x86-64 or arm64), unless that is waived",
        remedy="run on Linux with seccomp, or set isolation to 'process' where the machine itself is disposable",
    )
