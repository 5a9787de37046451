"""A proxy between pods and the S3 server that fails on demand: it answers 503, or breaks connections."""

import contextlib
import select
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Literal

Behaviour = Literal["pass", "unavailable", "cut"]
CHUNK = 1 << 16
CONNECT_SECONDS = 10.0
SEND_SECONDS = 60.0


class FaultProxy:
    """Relays TLS connections to a server, unless a test makes it fail.

    It terminates TLS itself, with the server's own certificate, and verifies the server behind it. A new behaviour also
    cuts the connections that are open, so that no client keeps an old one.
    """

    def __init__(self, address: str, server: tuple[str, int], certificate: Path, key: Path, authority: Path) -> None:
        """Listen at `address`, on a free port; takes the server's host and port, and files in PEM."""
        self.behaviour: Behaviour = "pass"
        self.requests_refused = 0
        self._server = server
        self._front = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._front.load_cert_chain(certificate, key)
        self._back = ssl.create_default_context(cafile=str(authority))
        self._open: set[socket.socket] = set()
        self._listener = socket.create_server((address, 0))
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def endpoint(self) -> str:
        """Its URL, for pods."""
        host, port = self._listener.getsockname()
        return f"https://{host}:{port}"

    @contextmanager
    def unavailable(self) -> Iterator[None]:
        """Every request inside the `with` is answered with 503."""
        yield from self._behave("unavailable")

    @contextmanager
    def cutting(self) -> Iterator[None]:
        """Every connection inside the `with` is broken: open ones at its beginning, new ones at once."""
        yield from self._behave("cut")

    def close(self) -> None:
        """Stop listening and close all connections."""
        self._listener.close()
        self._cut_all()

    def _behave(self, behaviour: Behaviour) -> Iterator[None]:
        self.behaviour = behaviour
        self._cut_all()
        try:
            yield
        finally:
            self.behaviour = "pass"
            self._cut_all()

    def _cut_all(self) -> None:
        for connection in list(self._open):
            _cut(connection)  # its own thread closes it: it may be selecting by its number

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return  # closed
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        self._open.add(connection)
        try:
            if self.behaviour == "cut":
                self.requests_refused += 1
                return
            with self._front.wrap_socket(connection, server_side=True) as client:
                self._open.add(client)
                self._refuse(client) if self.behaviour == "unavailable" else self._relay(client)
                self._open.discard(client)
        except OSError:
            pass  # the client, the server or a fault ended it: that is what this proxy is for
        finally:
            self._open.discard(connection)
            _cut(connection)
            connection.close()

    def _refuse(self, client: ssl.SSLSocket) -> None:
        proxy = self

        class Unavailable(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                proxy.requests_refused += 1
                self.send_response(503)
                self.send_header("Content-Length", "0")
                self.end_headers()

            do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = answer  # noqa: N815

            def log_message(self, *words: object) -> None:
                """Log nothing."""

        Unavailable(client, client.getpeername(), None)  # type: ignore[arg-type]

    def _relay(self, client: ssl.SSLSocket) -> None:
        plain = socket.create_connection(self._server, timeout=CONNECT_SECONDS)
        with self._back.wrap_socket(plain, server_hostname=self._server[0]) as server:
            self._open.add(server)
            other = {client: server, server: client}
            # One thread for both directions: an SSL connection may not be read and written at once.
            while all(_forward(source, other[source]) for source in select.select(list(other), [], [])[0]):
                continue
            self._open.discard(server)


def _forward(source: ssl.SSLSocket, sink: ssl.SSLSocket) -> bool:
    """Forward the data that has arrived; returns whether more may come."""
    source.settimeout(0)
    while True:
        try:
            data = source.recv(CHUNK)
        except ssl.SSLWantReadError:
            return True  # only half a record, or one of TLS itself
        if not data:
            return False
        sink.settimeout(SEND_SECONDS)
        sink.sendall(data)


def _cut(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
