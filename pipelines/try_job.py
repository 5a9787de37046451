"""What the jobs of `try_cluster` run: all processes meet once, and each tries the store.

python -m pipelines.try_job [STORE]     # in every process of torchrun, or as a Ray driver
"""

import os
import sys

from components.shared.errors import TutelageError
from components.shared.try_store import try_store

MEET_SECONDS = 120.0


def main() -> int:
    """Meet, and try the store named on the command line."""
    store = sys.argv[1] if len(sys.argv) > 1 else ""
    said, good = _as_rank(store) if "RANK" in os.environ else _on_worker(store)
    print(said, flush=True)
    return 0 if good else 1


def _tried(store: str) -> tuple[str, bool]:
    """What trying the store says, and whether it works."""
    try:
        return (f"store: {try_store(store)}" if store else "no store to try"), True
    except TutelageError as error:
        return str(error), False


def _as_rank(store: str) -> tuple[str, bool]:
    """One process of torchrun: a sum over all of them, which is how many there are."""
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
    """A Ray driver: a task, which runs on a worker, since the head of a job has no cores to give."""
    import ray

    from components.synthesize.ray_session import ray_session

    with ray_session(cpus=1):
        said, good = ray.get(ray.remote(num_cpus=1)(_tried).remote(store), timeout=MEET_SECONDS)
        return f"a task ran on one of {len(ray.nodes())} nodes; {said}", good


if __name__ == "__main__":
    sys.exit(main())
