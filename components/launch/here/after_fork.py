"""What a warm process does before it forks, and what the fork does first to behave like a process that was started."""

import gc
import os
import signal
import sys

THREADS_VARIABLE = "OMP_NUM_THREADS"


def share_loaded() -> None:
    """Exempt what this process has loaded from garbage collection, also in its forks.

    A collection writes to the header of every object, so that a fork's first one would copy all pages of the libraries:
    120 MB and 0.3 s in each rank of a training.
    """
    gc.freeze()


def begin_forked() -> None:
    """Default handlers of signals, and a thread pool of its own for torch, if that is loaded."""
    restore_default_handlers()
    renew_torch_threads()


def restore_default_handlers() -> None:
    """Those of a parent that supervises processes, such as torchrun, raise exceptions of its own.

    A program below would take them for errors in its work.
    """
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)


def renew_torch_threads() -> None:
    """As many threads as OpenMP's variable says, which torch reads when it is loaded; otherwise the parent's number.

    Setting the number, be it the same, is also what replaces torch's thread pool, of which a fork inherits only the
    memory. Left to the first operation, several threads at once, such as those that load a model, would replace it
    together, and fail ("Invalid thread pool!", ParallelOpenMP.cpp).
    """
    torch = sys.modules.get("torch")
    if torch is None:
        return
    threads = os.environ.get(THREADS_VARIABLE, "")
    torch.set_num_threads(int(threads) if threads.isdigit() else torch.get_num_threads())
