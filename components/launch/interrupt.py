"""SIGTERM as an exception in the main thread, and what is done before the process ends."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType


class Terminated(KeyboardInterrupt):
    """SIGTERM came: the run was cancelled, or the pod is to go."""


@contextlib.contextmanager
def terminated_by_sigterm() -> Iterator[None]:
    """Turn the first SIGTERM into Terminated; Kubeflow sends two, and the second must not disturb the cleaning up."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, _terminate)
    try:
        yield
    finally:
        if signal.getsignal(signal.SIGTERM) is _terminate:
            signal.signal(signal.SIGTERM, before)


def _terminate(number: int, frame: FrameType | None) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise Terminated
