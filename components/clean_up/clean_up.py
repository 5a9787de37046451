"""The clean-up step: what a run leaves behind on the cluster is deleted, however the run ended."""

import os
from dataclasses import dataclass, field

from components.shared.log import say
from components.shared.manifest import Cost
from components.shared.run_pointer import RUN_VARIABLE

STEP = "clean-up"


@dataclass(frozen=True)
class CleanedUp:
    """What was deleted. It lies nowhere in the store."""

    deleted: tuple[str, ...] = ()
    address: str = ""
    cost: Cost = field(default_factory=Cost)


def clean_up_run(namespace: str) -> CleanedUp:
    """Delete the unfinished jobs of the run that this step's pod belongs to, and jobs whose `ttl_seconds` are over.

    Args:
        namespace: where the jobs are; empty: the pod's own.

    Raises:
        JobError: names what could not be listed or deleted, when all the rest is done.
    """
    from components.launch.clean_up import delete_left_over
    from components.launch.clock import Clock
    from components.launch.cluster import Cluster
    from components.launch.identity import job_namespace, who_we_are

    cluster, clock = Cluster(job_namespace(namespace)), Clock()
    # Placed tasks have the id at hand; reading the own pod takes a right.
    run = os.environ.get(RUN_VARIABLE) or who_we_are(cluster, clock).run
    deleted = tuple(delete_left_over(cluster, run, clock))
    if not deleted:
        say(STEP, f"no job is left in namespace {cluster.namespace}")
    return CleanedUp(deleted)
