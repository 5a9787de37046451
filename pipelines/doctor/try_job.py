"""The program of the jobs of `try_cluster`: all processes communicate once, and each tries the store.

python -m pipelines.doctor.try_job [STORE]     # in every process of torchrun, or as a Ray driver
"""

import os
import sys

from components.shared.errors import TutelageError
from components.shared.store.try_store import try_store
from components.shared.text.counted import counted

MEET_SECONDS = 120.0


def main() -> int:
    """Communicate with the other processes, and try the store named on the command line."""
    store = sys.argv[1] if len(sys.argv) > 1 else ""
    said, good = _as_rank(store) if "RANK" in os.environ else _on_worker(store)
    print(said, flush=True)
    return 0 if good else 1


def _tried(store: str) -> tuple[str, bool]:
    """The result of trying the store, and whether it works."""
    try:
        return (f"store: {try_store(store)}" if store else "no store to try"), True
    except TutelageError as error:
        return str(error), False


def _as_rank(store: str) -> tuple[str, bool]:
    """One process of torchrun: an all-reduce that counts the processes."""
    from datetime import timedelta

    import torch
    import torch.distributed as ranks

    ranks.init_process_group("gloo", timeout=timedelta(seconds=MEET_SECONDS))
    try:
        count = torch.ones(1)
        ranks.all_reduce(count)
        rank, world = ranks.get_rank(), ranks.get_world_size()
    finally:
        ranks.destroy_process_group()
    said, good = _tried(store)
    return f"rank {rank} of {world} met {int(count.item())}; {said}", good and int(count.item()) == world


def _on_worker(store: str) -> tuple[str, bool]:
    """A Ray driver: a task, which runs on a worker, because the head offers no cores."""
    import ray

    from components.launch.ray.session import ray_session

    with ray_session(cpus=1):
        said, good = ray.get(ray.remote(num_cpus=1)(_tried).remote(store), timeout=MEET_SECONDS)
        return f"a task ran on one of {counted(len(ray.nodes()), 'node')}; {said}", good


if __name__ == "__main__":
    sys.exit(main())
