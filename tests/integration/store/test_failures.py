"""The messages when a store refuses a request, is missing, or interrupts a transfer."""

import contextlib
import errno
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from components.shared.errors import NotFoundError, SettingsError, StoreError
from components.shared.outputs.library import Library
from components.shared.store import s3 as s3_store
from components.shared.store.open_store import open_store
from components.shared.store.store import Store

SECRET = "this-is-the-secret-key"


def refused(action: Callable[[], object]) -> StoreError:
    """The error of what a store refuses; neither it nor its causes contain a secret."""
    with pytest.raises(StoreError) as caught:
        action()
    error: BaseException | None = caught.value
    while error is not None:
        assert SECRET not in str(error) and SECRET not in repr(error)
        error = error.__cause__ or error.__context__
    assert caught.value.remedy
    return caught.value


@pytest.fixture(params=["moto_server", "s3_server"])
def bucket(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The URI of an empty bucket."""
    return str(request.getfixturevalue(request.param).use(monkeypatch))


@pytest.fixture
def real_bucket(s3_server: Any, monkeypatch: pytest.MonkeyPatch) -> str:
    """The URI of an empty bucket of a server that checks keys, which moto does not."""
    return str(s3_server.use(monkeypatch))


def test_missing_bucket(bucket: str, tmp_path: Path) -> None:
    absent = bucket + "-not-made"
    (tmp_path / "file").write_bytes(b"data")
    store = open_store(absent + "/prefix")
    for action in (
        lambda: store.write("key", b"data"),
        lambda: store.read("key"),
        lambda: list(store.list()),
        lambda: store.upload(tmp_path / "file", "key"),
        lambda: store.download("key", tmp_path / "copy"),
        lambda: store.exists("key"),
        lambda: Library(absent).find("collect/0123456789abcdef"),
    ):
        error = refused(action)
        assert "NoSuchBucket" in error.problem and absent in error.problem and "create the bucket" in error.remedy
        assert not isinstance(error, NotFoundError), "a missing bucket must not pass for a missing object"


def test_wrong_key(real_bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "nobody")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    store = open_store(real_bucket)
    for action in (
        lambda: store.write("key", b""),
        lambda: store.read("key"),
        lambda: store.exists("key"),
        lambda: list(store.list()),
    ):
        assert "AWS_ACCESS_KEY_ID" in refused(action).remedy


def test_wrong_secret(real_bucket: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    store = open_store(real_bucket)
    (tmp_path / "file").write_bytes(b"data")
    for action in (
        lambda: store.write("key", b""),
        lambda: store.read("key"),
        lambda: list(store.list()),
        lambda: store.exists("key"),
        lambda: store.upload(tmp_path / "file", "key"),
    ):
        assert "AWS_SECRET_ACCESS_KEY" in refused(action).remedy


def test_no_credentials(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    error = refused(lambda: open_store(bucket).read("key"))
    assert "no credentials" in error.problem and "AWS_ACCESS_KEY_ID" in error.remedy


def test_nothing_listens_at_the_endpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        _point_at(monkeypatch, f"http://127.0.0.1:{taken.getsockname()[1]}")
        began = time.monotonic()
        error = refused(lambda: open_store("s3://bucket").read("key"))
    assert "AWS_ENDPOINT_URL" in error.remedy and "s3://bucket/key" in error.problem
    assert time.monotonic() - began < 45


def test_upload_to_a_server_that_closes_the_connection_is_not_a_disk_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """An interrupted TLS handshake raises an error that is also an OSError."""
    (tmp_path / "file").write_bytes(b"data")
    with _hanging_up() as (port, connections):
        _point_at(monkeypatch, f"https://127.0.0.1:{port}")
        monkeypatch.setenv("AWS_MAX_ATTEMPTS", "3")
        error = refused(lambda: open_store("s3://bucket").upload(tmp_path / "file", "key"))
    assert "s3://bucket/key" in error.problem and "AWS_ENDPOINT_URL" in error.remedy
    assert len(connections) == 3, "as many attempts as the variable sets"


@contextlib.contextmanager
def _hanging_up() -> Iterator[tuple[int, list[object]]]:
    """A port whose server ends every connection at once, and the connections so far."""
    connections: list[object] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, peer = listener.accept()
                    connection.close()
                    connections.append(peer)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listener.getsockname()[1], connections
        listener.shutdown(socket.SHUT_RDWR)
    thread.join(5)


def test_invalid_number_of_attempts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "many")
    with pytest.raises(SettingsError, match="AWS_MAX_ATTEMPTS='many'"):
        open_store("s3://bucket")


def test_endpoint_that_drops_packets(monkeypatch: pytest.MonkeyPatch) -> None:
    """A listener whose queue is full does not answer a new connection, like a firewall that drops packets."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        waiting = [_connect(listener.getsockname()) for _ in range(4)]
        _point_at(monkeypatch, f"http://127.0.0.1:{listener.getsockname()[1]}")
        monkeypatch.setattr(s3_store, "CONNECT_SECONDS", 1)
        began = time.monotonic()
        error = refused(lambda: open_store("s3://bucket").write("key", b"data"))
        for each in waiting:
            each.close()
    assert "onnect" in error.problem and "AWS_ENDPOINT_URL" in error.remedy
    # Five attempts, with pauses between them that double from at most one second.
    assert 5 * 1 <= time.monotonic() - began < 5 * 1 + 15 + 5


def test_endpoint_with_a_password(monkeypatch: pytest.MonkeyPatch) -> None:
    _point_at(monkeypatch, f"http://user:{SECRET}@127.0.0.1:9000")
    with pytest.raises(SettingsError) as caught:
        open_store("s3://bucket")
    assert SECRET not in str(caught.value) and "AWS_SECRET_ACCESS_KEY" in caught.value.remedy


@pytest.mark.parametrize("endpoint", ["localhost:9000", "not a url", "http://"])
def test_endpoint_that_is_not_a_url(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    _point_at(monkeypatch, endpoint)
    with pytest.raises((SettingsError, StoreError)) as caught:
        open_store("s3://bucket").exists("key")
    assert "AWS_ENDPOINT_URL" in caught.value.remedy


def test_missing_certificate_authority(monkeypatch: pytest.MonkeyPatch) -> None:
    _point_at(monkeypatch, "https://127.0.0.1:1")
    monkeypatch.setenv("AWS_CA_BUNDLE", "/no/such/ca.crt")
    with pytest.raises((SettingsError, StoreError)) as caught:
        open_store("s3://bucket").read("key")
    assert "AWS_CA_BUNDLE" in caught.value.remedy and not isinstance(caught.value, NotFoundError)


def test_unknown_addressing_style(monkeypatch: pytest.MonkeyPatch) -> None:
    _point_at(monkeypatch, "http://127.0.0.1:1")
    monkeypatch.setenv("TUTELAGE_S3_ADDRESSING", "sideways")
    with pytest.raises(SettingsError) as caught:
        open_store("s3://bucket")
    assert caught.value.allowed == ("auto", "path", "virtual")


@pytest.mark.parametrize("uri", ["s3://", "gs://bucket/prefix", "http://host/path"])
def test_uri_that_does_not_name_a_store(uri: str) -> None:
    with pytest.raises(SettingsError, match="store"):
        open_store(uri)


def test_interrupted_download_is_resumed(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    data = os.urandom(6 << 20)
    open_store(bucket).write("big", data)
    with BreakingProxy(os.environ["AWS_ENDPOINT_URL"], breaks=3, after=1 << 20) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.endpoint)
        assert b"".join(open_store(bucket).read_chunks("big")) == data
    assert proxy.broken == 3


def test_download_that_is_always_interrupted_fails(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    open_store(bucket).write("big", os.urandom(6 << 20))
    with BreakingProxy(os.environ["AWS_ENDPOINT_URL"], breaks=1000, after=100_000) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.endpoint)
        assert "the network" in refused(lambda: open_store(bucket).read("big")).remedy


class TestFolder:
    """Errors of a local folder."""

    @pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
    def test_full_disk(self, number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def fail(descriptor: int) -> None:
            raise OSError(number, os.strerror(number))

        store = open_store(str(tmp_path / "store"))
        store.write("key", b"before")
        monkeypatch.setattr(os, "fsync", fail)
        error = refused(lambda: store.write("key", b"after"))
        assert os.strerror(number) in error.problem and "free some space" in error.remedy
        assert store.read("key") == b"before"
        assert [path.name for path in (tmp_path / "store").iterdir()] == ["key"], "no partial file is left"

    def test_really_full_disk(self, tmp_path: Path) -> None:
        """A file system of 256 KiB in a mount namespace of its own."""
        program = (
            "import sys; from pathlib import Path; from components.shared.store.open_store import open_store\n"
            "store = open_store(sys.argv[1]); store.write('small', b'kept')\n"
            "Path(sys.argv[2]).write_bytes(bytes(1 << 20))\n"
            "for action in (lambda: store.write('large', bytes(1 << 20)), "
            "lambda: store.upload(Path(sys.argv[2]), 'large')):\n"
            "    try: action()\n"
            "    except Exception as error: print(type(error).__name__, error.problem, error.remedy)\n"
            "print(store.read('small'), [entry.key for entry in store.list()])\n"
        )
        disk = tmp_path / "disk"
        disk.mkdir()
        mount = 'mount -t tmpfs -o size=256k tmpfs "$1" && exec "$2" -c "$3" "$1" "$4"'
        command = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", mount, "sh", str(disk)]
        command += [sys.executable, program, str(tmp_path / "source")]
        ended = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[3], timeout=600)
        if "unshare" in ended.stderr or "mount:" in ended.stderr:
            pytest.skip(f"needs a mount namespace: {ended.stderr.strip()}")
        assert ended.returncode == 0, ended.stderr
        *refusals, kept = ended.stdout.splitlines()
        assert len(refusals) == 2
        assert all(line.startswith("StoreError") and "No space left" in line and "df -h" in line for line in refusals)
        assert kept == "b'kept' ['small']"

    def test_folder_without_write_permission(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_bytes(b"a file")
        error = refused(lambda: open_store(str(tmp_path / "file" / "store")).write("key", b"data"))
        assert "is a file" in error.remedy
        error = refused(lambda: open_store("/proc/1/tutelage").write("key", b"data"))
        assert "/proc/1/tutelage" in error.problem

    def test_folder_is_not_an_object(self, tmp_path: Path) -> None:
        (tmp_path / "folder").mkdir()
        assert "correct the path" in refused(lambda: open_store(str(tmp_path)).read("folder")).remedy

    def test_keys_stay_below_the_root(self, tmp_path: Path) -> None:
        store = open_store(str(tmp_path / "store"))
        for key in ("../outside", "a/../../outside", "/etc/passwd"):
            with pytest.raises(SettingsError, match="is outside the store"):
                store.write(key, b"data")
        assert list(tmp_path.iterdir()) == []

    def test_upload_of_nothing(self, tmp_path: Path) -> None:
        with pytest.raises(NotFoundError, match="not-there"):
            open_store(str(tmp_path / "store")).upload(tmp_path / "not-there", "key")


def test_upload_of_nothing_to_s3(bucket: str, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="not-there"):
        open_store(bucket).upload(tmp_path / "not-there", "key")


def test_download_to_a_full_disk(bucket: str, tmp_path: Path) -> None:
    store: Store = open_store(bucket)
    store.write("key", b"data")
    (tmp_path / "file").write_bytes(b"")
    assert "is a file" in refused(lambda: store.download("key", tmp_path / "file" / "copy")).remedy


def _point_at(patch: pytest.MonkeyPatch, endpoint: str) -> None:
    patch.setenv("AWS_ENDPOINT_URL", endpoint)
    patch.setenv("AWS_ACCESS_KEY_ID", "somebody")
    patch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)


def _connect(address: tuple[str, int]) -> socket.socket:
    waiting = socket.socket()
    waiting.setblocking(False)
    waiting.connect_ex(address)
    return waiting


class BreakingProxy:
    """Forwards connections to a server, and breaks the first large responses after so many bytes."""

    def __init__(self, endpoint: str, breaks: int, after: int) -> None:
        host, _, port = endpoint.removeprefix("http://").rpartition(":")
        self._server, self._breaks, self._after = (host, int(port)), breaks, after
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.endpoint = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.broken = 0

    def __enter__(self) -> "BreakingProxy":
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()

    def _accept(self) -> None:
        for client in _accepted(self._listener):
            server = socket.create_connection(self._server)
            threading.Thread(target=self._pass, args=(client, server, False), daemon=True).start()
            threading.Thread(target=self._pass, args=(server, client, True), daemon=True).start()

    def _pass(self, giver: socket.socket, taker: socket.socket, answers: bool) -> None:
        passed = 0
        try:
            while data := giver.recv(65_536):
                passed += len(data)
                if answers and passed > self._after and self.broken < self._breaks:
                    self.broken += 1
                    break
                taker.sendall(data)
        except OSError:
            pass
        for end in (giver, taker):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


def _accepted(listener: socket.socket) -> Iterator[socket.socket]:
    while True:
        try:
            yield listener.accept()[0]
        except OSError:
            return
