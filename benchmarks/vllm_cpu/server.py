"""`vllm serve` on this machine's CPUs, on a free port of the loopback device.

with serve(Path("demo/teacher"), "--max-num-seqs=8", name="teacher") as server:
    OpenAISettings(model="teacher", endpoints=(server.url,))
"""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.vllm_cpu.environment import environment, python_variables

READY_SECONDS = 420.0
"""A start takes 25 s of processor time, mostly imports in three processes; many times that on a busy machine."""

END_SECONDS = 30.0
SHOWN_LINES = 60


class VllmStartError(Exception):
    """The server ended, or did not answer in time; the text has the end of its log."""


@dataclass
class VllmServer:
    """One server's process, which may be started again on its port.

    Args:
        command: the command line; its first word is a program on the PATH of `variables`.
        port: of the loopback device.
        log: file that takes both outputs.
        variables: all its environment variables.
    """

    command: Sequence[str]
    port: int
    log: Path
    variables: Mapping[str, str]
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def root(self) -> str:
        """The server's URL, below which `health` and `metrics` are."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        """The base URL of its OpenAI-compatible API."""
        return f"{self.root}/v1"

    def start(self) -> None:
        """Start the process, in a process group of its own, without waiting for it."""
        program = shutil.which(self.command[0], path=self.variables["PATH"]) or self.command[0]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [program, *self.command[1:]], env=self.variables, stdout=log, stderr=log, start_new_session=True
            )

    def wait(self, seconds: float = READY_SECONDS) -> None:
        """Wait until it is healthy. Raises VllmStartError."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self.process is None or self.process.poll() is not None:
                raise VllmStartError(f"vLLM has ended before it was ready:\n{self.tail()}")
            if self.is_healthy():
                return
            time.sleep(0.2)
        raise VllmStartError(f"vLLM is not ready after {seconds:.0f} s:\n{self.tail()}")

    def is_healthy(self) -> bool:
        """Whether it answers its probe."""
        try:
            with urllib.request.urlopen(f"{self.root}/health", timeout=5) as response:
                return bool(response.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    def tail(self, lines: int = SHOWN_LINES) -> str:
        """The end of its log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def kill(self) -> None:
        """Kill the process and all that it started, without a chance to finish anything."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """Terminate it; what has not ended in time is killed."""
        self._end(signal.SIGTERM)

    def _end(self, sent: signal.Signals) -> None:
        if self.process is None:
            return
        _signal_group(self.process.pid, sent)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(END_SECONDS)
        # The engine's processes outlive a server that was killed.
        _signal_group(self.process.pid, signal.SIGKILL)
        self.process.wait(END_SECONDS)
        self.process = None


@contextlib.contextmanager
def serve(
    model: Path, *options: str, name: str = "", context_tokens: int = 512, kv_cache_gib: int = 1, threads: int = 1
) -> Iterator[VllmServer]:
    """Serve a model, and yield the server once it is healthy; it has ended afterwards.

    Args:
        model: folder with the model.
        options: further options of `vllm serve`.
        name: name that requests use; empty: the folder's name.
        context_tokens: longest prompt and answer together.
        kv_cache_gib: memory for keys and values.
        threads: of the worker, each bound to a core.

    Raises:
        VllmUnavailableError: vLLM cannot be had here.
        VllmStartError: the server did not start.
    """
    with tempfile.TemporaryDirectory(prefix="vllm-") as folder:
        server = prepare(
            Path(folder) / "log", model, *options,
            name=name, context_tokens=context_tokens, kv_cache_gib=kv_cache_gib, threads=threads,
        )  # fmt: skip
        with running(server):
            yield server


@contextlib.contextmanager
def running(server: VllmServer, seconds: float = READY_SECONDS) -> Iterator[VllmServer]:
    """Start a server, yield it once it is healthy, and stop it. Raises VllmStartError."""
    try:
        server.start()
        server.wait(seconds)
        yield server
    finally:
        server.stop()


def prepare(
    log: Path,
    model: Path,
    *options: str,
    name: str = "",
    context_tokens: int = 512,
    kv_cache_gib: int = 1,
    threads: int = 1,
) -> VllmServer:
    """A server that is not started yet; arguments and errors as for `serve`, and the file of its log."""
    variables = {**python_variables(), **cpu_variables(kv_cache_gib, threads)}
    variables["PATH"] = f"{environment() / 'bin'}:{variables['PATH']}"
    port = free_port()
    command = ["vllm", "serve", str(model), f"--served-model-name={name or model.name}"]
    command += ["--host=127.0.0.1", f"--port={port}", f"--max-model-len={context_tokens}"]
    # Compiled graphs take minutes to make, and gain nothing for small models; float32 is exact on CPUs.
    command += ["--dtype=float32", "--enforce-eager", "--load-format=safetensors", *options]
    return VllmServer(command, port, log, variables)


def cpu_variables(kv_cache_gib: int = 1, threads: int = 1) -> dict[str, str]:
    """Variables that size vLLM on CPUs: memory for keys and values, and the worker's threads."""
    variables = {"VLLM_CPU_KVCACHE_SPACE": str(kv_cache_gib), "OMP_NUM_THREADS": str(threads)}
    if threads >= (os.cpu_count() or 1):
        # By default the worker keeps off one core, whatever the number of its threads.
        variables["VLLM_CPU_NUM_OF_RESERVED_CPU"] = "0"
    return variables


def free_port() -> int:
    """A port of the loopback device that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _signal_group(group: int, sent: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, sent)
