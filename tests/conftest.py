"""What all tests share: a clean environment for S3, and two S3 servers (moto; versitygw, a real one)."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

VERSITYGW = "versitygw-1.8.0"
BUILD = Path(__file__).parent / "tools" / "build_versitygw.sh"
READY_SECONDS = 20.0
LEAKY = ("AWS_", "TUTELAGE_S3_")
"""Prefixes of variables that must not come from the developer's machine."""


@dataclass(frozen=True)
class S3Server:
    """A running S3 server, and the key that it accepts."""

    endpoint: str
    key: str
    secret: str

    def environment(self) -> dict[str, str]:
        """The variables that make a process use this server."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": self.key,
            "AWS_SECRET_ACCESS_KEY": self.secret,
            "AWS_REGION": "us-east-1",
        }

    def use(self, patch: pytest.MonkeyPatch) -> str:
        """Make this process use the server; returns the URI of a new, empty bucket."""
        from components.shared.store.s3 import make_client

        for name, value in self.environment().items():
            patch.setenv(name, value)
        bucket = f"test-{uuid.uuid4().hex[:12]}"
        make_client().create_bucket(Bucket=bucket)
        return f"s3://{bucket}"


@pytest.fixture(scope="session", autouse=True)
def clean_s3_environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No key, profile, endpoint or certificate authority of the developer's machine reaches a test."""
    nothing = tmp_path_factory.mktemp("aws") / "none"
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.startswith(LEAKY):
                patch.delenv(name)
        for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
            patch.setenv(name, str(nothing))
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        yield


@pytest.fixture(autouse=True)
def own_environment() -> Iterator[None]:
    """Steps that run in this process set variables for their libraries (HF_HUB_OFFLINE): no other test may see them.

    Nor may it see what the libraries have made of them. A step that was terminated ignores SIGTERM from then on, which
    a test's processes would inherit.
    """
    before, handler = dict(os.environ), signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, handler)
    go_online()
    for name in os.environ.keys() - before.keys():
        del os.environ[name]
    os.environ.update(before)


def go_online() -> None:
    """Undo what a step has set in the libraries that were imported; it is loaded if one has run here."""
    offline = sys.modules.get("components.models.offline")
    for module, flag in offline.FLAGS if offline else ():
        if module in sys.modules:
            setattr(sys.modules[module], flag, False)


@pytest.fixture(scope="session")
def moto_server() -> Iterator[S3Server]:
    """moto's S3 in a thread of this process."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield S3Server(f"http://{host}:{port}", "test", "test")
    server.stop()


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """versitygw over a folder; built once into the user's cache."""
    program = _versitygw()
    folder = tmp_path_factory.mktemp("versitygw")
    port = free_port()
    server = S3Server(f"http://127.0.0.1:{port}", "tutelage-test", f"secret-{uuid.uuid4().hex}")
    keys = {"ROOT_ACCESS_KEY": server.key, "ROOT_SECRET_KEY": server.secret}
    with (folder / "log").open("wb") as log:
        (folder / "data").mkdir()
        command = [str(program), "--port", f"127.0.0.1:{port}", "posix", str(folder / "data")]
        process = subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, **keys})
    try:
        _wait_for(port, process, folder / "log")
        yield server
    finally:
        # On SIGTERM it would wait for the connections that clients keep open.
        process.kill()
        process.wait(10)


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _versitygw() -> Path:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    program = cache / "tutelage" / VERSITYGW / "versitygw"
    if not program.exists() and shutil.which("go") is None:
        pytest.skip("needs Go on PATH to build versitygw, a real S3 server")
    built = subprocess.run([str(BUILD), str(program.parent)], capture_output=True, text=True, timeout=600)
    if built.returncode:
        pytest.skip(f"versitygw cannot be built: {built.stderr.strip().splitlines()[-1]}")
    return program


def _wait_for(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.05)
    pytest.fail(f"versitygw does not listen: {log.read_text()[-500:]}")
