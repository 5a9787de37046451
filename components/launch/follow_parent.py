"""Ends a process when the one that started it is gone, however that one ended (prctl(2), Linux)."""

import ctypes
import os
import signal

PR_SET_PDEATHSIG = 1


def die_with_parent(sent: signal.Signals = signal.SIGKILL) -> None:
    """Ask the kernel to send `sent` to this process when its parent dies, so that kill -9 leaves no orphans.

    A parent that is gone already is noticed: the process then belongs to the system's first process, or to a
    reaper, and ends at once.
    """
    parent = os.getppid()
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, sent)
    if os.getppid() != parent:
        os.kill(os.getpid(), sent)
