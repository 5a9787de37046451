"""A process that keeps libraries loaded and forks programs, so that they start without importing anything again.

A fork is safe only from a process that has one Python thread and has not initialised CUDA. The server therefore does
nothing but import; what it forks does the work. It learns what to import from the programs themselves: each reports,
when it exits, the modules that it loaded.
"""

import atexit
import contextlib
import importlib
import json
import os
import runpy
import signal
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from multiprocessing.reduction import recv_handle, send_handle
from typing import IO, NoReturn

from components.launch.here.after_fork import renew_torch_threads, restore_default_handlers, share_loaded
from components.launch.here.follow_parent import die_with_parent, parent_variable
from components.shared.log import say

IMPORT_ENVIRONMENT = {
    "TQDM_DISABLE": "1",
    "TRANSFORMERS_VERBOSITY": "error",
    "DATASETS_VERBOSITY": "error",
    "DS_ACCELERATOR": "cpu",
    # DeepSpeed decorates its optimizers with torch.compile when it is imported, which loads the compiler: 3 s.
    "TORCHDYNAMO_DISABLE": "1",
}
"""Set while the server imports libraries, which read them then; not in the environment of the programs."""


@dataclass(frozen=True)
class ForkedProgram:
    """What `python -m MODULE ARGUMENTS` would run.

    Attributes:
        module: its `__main__` block runs.
        arguments: the command line.
        environment: complete, as for `subprocess.Popen`.
        on_parent_death: what the kernel sends it when the server dies.
        own_session: whether it leads a session and process group of its own.
    """

    module: str
    arguments: tuple[str, ...]
    environment: Mapping[str, str] = field(repr=False)
    on_parent_death: signal.Signals = signal.SIGTERM
    own_session: bool = False


class ForkedProcess:
    """A forked program, as far as callers use `subprocess.Popen`."""

    def __init__(self, pid: int, stdout: IO[str], connection: "Connection[ForkedProgram, int]") -> None:
        self.pid, self.stdout = pid, stdout
        self.returncode: int | None = None
        self._connection = connection

    def poll(self) -> int | None:
        """The exit code, -N after signal N; None while it runs."""
        if self.returncode is None and self._connection.poll(0):
            self._receive()
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """The exit code, once it has ended. Raises subprocess.TimeoutExpired."""
        if self.returncode is None:
            if not self._connection.poll(timeout):
                raise subprocess.TimeoutExpired(f"process {self.pid}", timeout or 0.0)
            self._receive()
        assert self.returncode is not None
        return self.returncode

    def _receive(self) -> None:
        try:
            self.returncode = self._connection.recv()
        except EOFError:
            # The server is gone, so the kernel has ended the program.
            self.returncode = -signal.SIGKILL


class ForkServer:
    """Forks programs, one at a time, from a copy of the process that creates it or from a new interpreter.

    Args:
        libraries: packages whose modules it imports once a program has loaded them.
        new_interpreter: for a process that has threads already, so that a copy of it could not be forked safely.
    """

    def __init__(self, libraries: Sequence[str] = (), *, new_interpreter: bool = False) -> None:
        self._connection, theirs = Pipe()
        if new_interpreter:
            self.pid = _start_interpreter(theirs, libraries)
        else:
            self.pid = _fork(partial(self._serve_copy, os.getpid(), theirs, libraries))
        theirs.close()

    def start(self, program: ForkedProgram) -> ForkedProcess:
        """Fork a program; its stdout and stderr are the returned process's `stdout`."""
        reading, writing = os.pipe()
        try:
            self._connection.send(program)
            send_handle(self._connection, writing, self.pid)
        finally:
            os.close(writing)
        stdout = os.fdopen(reading, encoding="utf-8", errors="replace")
        return ForkedProcess(self._connection.recv(), stdout, self._connection)

    def close(self) -> None:
        """End the server. A program that still runs gets its `on_parent_death`."""
        self._connection.close()
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self.pid, 0)

    def _serve_copy(self, owner: int, connection: "Connection[int, ForkedProgram]", libraries: Sequence[str]) -> None:
        self._connection.close()
        die_with_parent(parent=owner)
        serve(connection, libraries)


def serve(connection: "Connection[int, ForkedProgram]", libraries: Sequence[str]) -> None:
    """Fork the programs that arrive, one after the other, until the other end of the connection is closed."""
    # A signal to the process group is for the programs: they clean up, and their end is reported.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    loaded = _LoadedModules(libraries) if libraries else None
    while True:
        try:
            program = connection.recv()
        except EOFError:
            return
        output = recv_handle(connection)
        share_loaded()
        pid = _fork(partial(_become, os.getpid(), program, output, connection))
        os.close(output)
        connection.send(pid)
        connection.send(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
        if loaded:
            loaded.import_reported()


_SERVE = """
import sys
from multiprocessing.connection import Connection
from components.launch.here.follow_parent import die_with_parent
from components.launch.here.fork_server import serve
die_with_parent()
serve(Connection(int(sys.argv[1])), sys.argv[2:])
"""


def _start_interpreter(connection: "Connection[int, ForkedProgram]", libraries: Sequence[str]) -> int:
    """A new interpreter that serves; returns its number."""
    os.set_inheritable(connection.fileno(), True)
    command = [sys.executable, "-c", _SERVE, str(connection.fileno()), *libraries]
    return os.posix_spawn(sys.executable, command, {**os.environ, **parent_variable()})


class _LoadedModules:
    """What programs have loaded: each appends a line to a file without a name that it inherits."""

    _file: "IO[str] | None" = None

    def __init__(self, libraries: Sequence[str]) -> None:
        self._libraries, self._position = frozenset(libraries), 0
        type(self)._file = tempfile.TemporaryFile("a+", encoding="utf-8")  # noqa: SIM115 - for the process's life

    @classmethod
    def report(cls) -> None:
        """In a program that ends: the names of its modules that have a file."""
        if cls._file is not None:
            names = [name for name, module in [*sys.modules.items()] if getattr(module, "__file__", None)]
            cls._file.write(json.dumps(names) + "\n")
            cls._file.flush()

    def import_reported(self) -> None:
        """In the server: import the modules of the libraries that programs have reported since the last time."""
        assert self._file is not None
        self._file.seek(self._position)
        reported = [name for line in self._file for name in json.loads(line)]
        self._position = self._file.tell()
        with _import_environment():
            for name in dict.fromkeys(reported):
                if name not in sys.modules and name.partition(".")[0] in self._libraries:
                    _import(name)


def _import(name: str) -> None:
    try:
        importlib.import_module(name)
    except Exception as error:  # noqa: BLE001 - the program that needs it imports it itself
        say("fork server", f"{name} is not preloaded: {type(error).__name__}: {error}")


@contextlib.contextmanager
def _import_environment() -> Iterator[None]:
    before = dict(os.environ)
    os.environ.update({name: value for name, value in IMPORT_ENVIRONMENT.items() if name not in before})
    try:
        yield
    finally:
        for name in IMPORT_ENVIRONMENT.keys() - before.keys():
            os.environ.pop(name, None)


def _fork(work: Callable[[], None]) -> int:
    """Fork a process that does the work, and exits as an interpreter would; returns its number."""
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    pid = os.fork()
    if pid == 0:
        _exit_after(work)
    return pid


def _exit_after(work: Callable[[], None]) -> NoReturn:
    code = 1
    try:
        code = _exit_code_of(work)
        _LoadedModules.report()
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        # Not sys.exit: the frames of the process that was forked are below this one.
        os._exit(code)


def _exit_code_of(work: Callable[[], None]) -> int:
    try:
        work()
    except SystemExit as end:
        if end.code is None or isinstance(end.code, int):
            return end.code or 0
        print(end.code, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    except BaseException:  # noqa: BLE001 - as the interpreter does with what nobody has caught
        traceback.print_exc()
        return 1
    return 0


def _become(server: int, program: ForkedProgram, output: int, connection: "Connection[int, ForkedProgram]") -> None:
    connection.close()
    if program.own_session:
        os.setsid()
    restore_default_handlers()
    die_with_parent(program.on_parent_death, server)
    os.environ.clear()
    os.environ.update(program.environment)
    _redirect(output)
    renew_torch_threads()
    sys.argv = [program.module, *program.arguments]
    runpy.run_module(program.module, run_name="__main__", alter_sys=True)


def _redirect(output: int) -> None:
    """Standard output and error to a file descriptor, unbuffered but for the line; standard input is empty."""
    nothing = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((nothing, 0), (output, 1), (output, 2)):
        os.dup2(source, target)
    os.close(nothing)
    os.close(output)
    sys.stdin = sys.__stdin__ = open(0, encoding="utf-8", closefd=False)  # type: ignore[misc]  # noqa: SIM115
    sys.stdout = sys.__stdout__ = open(1, "w", buffering=1, encoding="utf-8", closefd=False)  # type: ignore[misc]  # noqa: SIM115
    sys.stderr = sys.__stderr__ = open(  # type: ignore[misc]  # noqa: SIM115
        2, "w", buffering=1, encoding="utf-8", errors="backslashreplace", closefd=False
    )


_server: ForkServer | None = None


@contextlib.contextmanager
def forking_jobs(server: ForkServer | None = None) -> Iterator[None]:
    """Fork the jobs of this process while the block lasts.

    Args:
        server: forks them, and is left open. By default a copy of this process as it is now: before it starts threads
            or initialises CUDA.
    """
    global _server  # noqa: PLW0603 - what runs a job is far from what knows that libraries are loaded
    _server = server or ForkServer()
    try:
        yield
    finally:
        if server is None:
            _server.close()
        _server = None


def job_server() -> ForkServer | None:
    """What forks the jobs of this process; None where they start from scratch."""
    return _server
