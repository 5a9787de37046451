"""Servers of tests, in a thread of the test's process."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from socketserver import BaseServer
from typing import TypeVar

SomeServer = TypeVar("SomeServer", bound=BaseServer)
POLL_SECONDS = 0.01
"""How often a server looks whether it is to stop."""


@contextmanager
def serving(server: SomeServer) -> Iterator[SomeServer]:
    """Serve while the block lasts."""
    threading.Thread(target=server.serve_forever, args=(POLL_SECONDS,), daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
