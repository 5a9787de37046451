"""torchrun on one node, without its traceback, and with imports shared by all processes.

`python -m components.launch.here.torchrun [--preload] ARGUMENTS` takes torchrun's own arguments; others come from
PET_ variables. On one machine `--standalone` keeps everything on the loopback device. On a cluster each node's pod runs
this, and the operator sets PET_NNODES, PET_NPROC_PER_NODE, PET_NODE_RANK, PET_MASTER_ADDR and PET_MASTER_PORT.

With `--preload` the module's `preload()` is called here and the processes are forked from this one (torchrun's
`--start-method fork`), so that the imports of a training, about 12 s, are done once rather than in every process. CUDA
does not survive a fork, so with a GPU every process starts from scratch.
"""

import argparse
import importlib
import logging
import os
import sys

from components.launch.here.after_fork import begin_forked, share_loaded
from components.launch.here.follow_parent import parent_variable
from components.shared.log import say
from components.shared.patch_libraries import listen_on_loopback, name_callers_quickly

PRELOAD = "--preload"


def main() -> None:
    """Run torchrun and exit as its first failed process did; a process killed by signal N counts as 128 + N."""
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.run import parse_args, run

    logging.getLogger("torch.distributed.elastic").setLevel(logging.CRITICAL)
    name_callers_quickly()
    given = sys.argv[1:]
    if "--standalone" in given:
        listen_on_loopback()
    os.environ.update(parent_variable())
    arguments = parse_args(given[1:] if PRELOAD in given[:1] else given)  # type: ignore[no-untyped-call]
    try:
        run(with_shared_imports(arguments) if PRELOAD in given[:1] else arguments)  # type: ignore[no-untyped-call]
    except ChildFailedError as error:
        rank, failure = error.get_first_failure()
        if failure.exitcode >= 0:
            raise SystemExit(failure.exitcode) from None
        say(
            "torchrun",
            f"FAILED process {rank} was ended by {failure.signal_name()}; SIGKILL usually means out of memory",
        )
        raise SystemExit(128 - failure.exitcode) from None
    except SignalException as error:
        raise SystemExit(128 + error.sigval) from None


def with_shared_imports(arguments: argparse.Namespace) -> argparse.Namespace:
    """Preload the module and ask torchrun to fork; with a GPU, the arguments as they are."""
    import torch

    if torch.cuda.is_available():
        return arguments
    module = importlib.import_module(arguments.training_script)
    module.preload()
    share_loaded()
    os.register_at_fork(after_in_child=begin_forked)
    changed = {"module": False, "run_path": True, "start_method": "fork", "training_script": module.__file__}
    return argparse.Namespace(**{**vars(arguments), **changed})


if __name__ == "__main__":
    main()
