"""versitygw, a real S3 server, and its record of requests."""

import os
import re
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

BUILD = Path("tests/tools/build_versitygw.sh")
PROGRAM = Path.home() / ".cache" / "tutelage" / "versitygw-1.8.0" / "versitygw"
READY_SECONDS = 20.0
_REQUEST = re.compile(r" s3_(\w+) (\S+) ")


@dataclass(frozen=True)
class Request:
    """One request: what was asked, such as PutObject, and for which key."""

    operation: str
    key: str


@dataclass
class S3Log:
    """A bucket's URI, and the server's record of requests."""

    bucket: str
    file: Path
    _read: int = field(default=0)

    def read(self) -> list[Request]:
        """The requests since the last call."""
        text = self.file.read_text()
        new, self._read = text[self._read :], len(text)
        return [Request(*match) for match in _REQUEST.findall(new)]


@contextmanager
def serve_s3(folder: Path) -> Iterator[S3Log]:
    """Serve S3 from a folder on the loopback device, and make this process and its children use it."""
    from components.shared.store.s3 import make_client

    subprocess.run([str(BUILD), str(PROGRAM.parent)], check=True)
    (folder / "data").mkdir()
    (log := folder / "requests.log").touch()
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    os.environ |= {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_ACCESS_KEY_ID": "benchmark",
        "AWS_SECRET_ACCESS_KEY": os.urandom(16).hex(),
        "AWS_REGION": "us-east-1",
    }
    keys = {
        "ROOT_ACCESS_KEY": os.environ["AWS_ACCESS_KEY_ID"],
        "ROOT_SECRET_KEY": os.environ["AWS_SECRET_ACCESS_KEY"],
    }
    command = [str(PROGRAM), "--quiet", "--port", f"127.0.0.1:{port}", "--access-log", str(log)]
    with subprocess.Popen([*command, "posix", str(folder / "data")], env=os.environ | keys) as server:
        try:
            _wait_for(port)
            make_client().create_bucket(Bucket="benchmark")
            yield S3Log("s3://benchmark", log)
        finally:
            server.kill()


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
