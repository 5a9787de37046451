"""Ends a process when its parent has ended, however that happened (prctl(2), Linux)."""

import ctypes
import os
import signal

PR_SET_PDEATHSIG = 1
PARENT_VARIABLE = "TUTELAGE_PARENT"


def parent_variable() -> dict[str, str]:
    """The variable that tells a program which this process starts who its parent is."""
    return {PARENT_VARIABLE: str(os.getpid())}


def die_with_parent(sent: signal.Signals = signal.SIGKILL, parent: int | None = None) -> None:
    """Ask the kernel to send `sent` to this process when its parent dies, so that kill -9 leaves no orphans.

    A parent that has ended already is detected: the process then has another parent (init, or a subreaper), and ends
    at once.

    Args:
        sent: the signal.
        parent: who started this process. A process that asks for its parent only now may get its adopter's number;
            so the default is the number in the environment, and only without one the parent it has now.
    """
    named = os.environ.pop(PARENT_VARIABLE, None)
    parent = parent or int(named or os.getppid())
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, sent)
    if os.getppid() != parent:
        os.kill(os.getpid(), sent)
