"""The clean-up step: deletes what a run has left on the cluster, however the run ended."""

import os
from dataclasses import dataclass, field

from components.shared.log import say
from components.shared.outputs.manifest import Cost
from components.shared.outputs.run_pointer import RUN_VARIABLE

STEP = "clean-up"


@dataclass(frozen=True)
class CleanedUp:
    """What was deleted. Nothing is written to the store, so `address` is empty."""

    deleted: tuple[str, ...] = ()
    address: str = ""
    cost: Cost = field(default_factory=Cost)


def clean_up_run(namespace: str) -> CleanedUp:
    """Delete the unfinished jobs of this pod's run, and ended jobs whose `ttl_seconds` have passed.

    Args:
        namespace: where the jobs are; empty: the pod's own.

    Raises:
        JobError: some jobs could not be listed or deleted; raised after all others were handled.
    """
    from components.launch.api.clock import Clock
    from components.launch.api.cluster import Cluster
    from components.launch.follow.clean_up import delete_left_over
    from components.launch.follow.identity import job_namespace, who_we_are

    cluster, clock = Cluster(job_namespace(namespace)), Clock()
    # Placed tasks get the id in a variable; reading this pod takes a permission.
    run = os.environ.get(RUN_VARIABLE) or who_we_are(cluster, clock).run
    deleted = tuple(delete_left_over(cluster, run, clock))
    if not deleted:
        say(STEP, f"no job is left in namespace {cluster.namespace}")
    return CleanedUp(deleted)
