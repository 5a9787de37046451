"""SIGTERM as an exception in the main thread, so that a process can clean up before it exits."""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType


class Terminated(KeyboardInterrupt):
    """SIGTERM: the run was cancelled, or the pod is being deleted."""


@contextlib.contextmanager
def sigterm_raises(error: Callable[[], BaseException] = Terminated) -> Iterator[None]:
    """Raise an exception in the main thread at the first SIGTERM, and ignore those that follow.

    Kubeflow sends two, and the second must not interrupt the cleanup, which goes on while the exception leaves the
    block: after a SIGTERM the signal stays ignored, without one the previous handler is restored. Python runs signal
    handlers in the main thread only: in another thread this does nothing.

    Args:
        error: makes the exception, such as `lambda: SystemExit(143)`.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(_number: int, _frame: FrameType | None) -> None:
        signal.signal(signal.SIGTERM, _ignore)
        raise error()

    previous = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        if signal.getsignal(signal.SIGTERM) is end:
            signal.signal(signal.SIGTERM, previous)


def _ignore(_number: int, _frame: FrameType | None) -> None:
    """Unlike SIG_IGN, not inherited by programs that the cleanup starts."""
