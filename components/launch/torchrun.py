"""torchrun on one node: without its traceback, and with the imports shared by all processes.

`python -m components.launch.torchrun [--preload] ARGUMENTS` takes torchrun's own arguments, and what is not given from
PET_ variables. On one machine `--standalone` keeps everything on the loopback device. In a cluster each node's pod runs
this; the operator says in PET_NNODES, PET_NPROC_PER_NODE, PET_NODE_RANK, PET_MASTER_ADDR and PET_MASTER_PORT how many
nodes there are, which one this is, and where they meet.

With `--preload` the module's `preload()` is called here and the processes are forked from this one (torchrun's
`--start-method fork`), so that the imports of a training, some 12 s, are paid once rather than by every process. CUDA
does not survive a fork, so with a GPU every process is started afresh.
"""

import argparse
import importlib
import logging
import socket
import sys
from typing import Any

from components.shared.log import say

PRELOAD = "--preload"


def main() -> None:
    """Run torchrun and exit as its first failed process did; a process killed by signal N counts as 128 + N."""
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.run import parse_args, run

    logging.getLogger("torch.distributed.elastic").setLevel(logging.CRITICAL)
    given = sys.argv[1:]
    if "--standalone" in given:
        listen_on_loopback()
    arguments = parse_args(given[1:] if PRELOAD in given[:1] else given)  # type: ignore[no-untyped-call]
    try:
        run(with_shared_imports(arguments) if PRELOAD in given[:1] else arguments)  # type: ignore[no-untyped-call]
    except ChildFailedError as error:
        rank, failure = error.get_first_failure()
        if failure.exitcode >= 0:
            raise SystemExit(failure.exitcode) from None
        say("torchrun", f"FAILED process {rank} was ended by {failure.signal_name()}; SIGKILL mostly means no memory")
        raise SystemExit(128 - failure.exitcode) from None
    except SignalException as error:
        raise SystemExit(128 + error.sigval) from None


def listen_on_loopback() -> None:
    """Make torchrun's stores, over which processes find each other, listen on 127.0.0.1 rather than every address.

    A store asks nobody who they are, and there is no option for its address: it is given a socket that is bound.
    """
    import torch.distributed
    from torch.distributed.elastic.rendezvous import c10d_rendezvous_backend

    plain: Any = c10d_rendezvous_backend.TCPStore  # type: ignore[attr-defined]  # not typed

    class LoopbackStore(plain):
        def __init__(self, host_name: str, port: int = 0, *rest: Any, is_master: bool = False, **named: Any) -> None:
            if is_master:
                listening = socket.create_server(("127.0.0.1", port))
                port = listening.getsockname()[1]
                named["master_listen_fd"] = listening.detach()
            super().__init__(host_name, port, *rest, is_master=is_master, **named)

    for module in (torch.distributed, c10d_rendezvous_backend):
        setattr(module, "TCPStore", LoopbackStore)  # noqa: B010 - a plain assignment to a class is a type error


def with_shared_imports(arguments: argparse.Namespace) -> argparse.Namespace:
    """Preload the module and ask torchrun to fork; with a GPU, the arguments as they are."""
    import torch

    if torch.cuda.is_available():
        return arguments
    module = importlib.import_module(arguments.training_script)
    module.preload()
    changed = {"module": False, "run_path": True, "start_method": "fork", "training_script": module.__file__}
    return argparse.Namespace(**{**vars(arguments), **changed})


if __name__ == "__main__":
    main()
