"""Ending a job for good: stopped first, then deleted."""

import contextlib

from components.launch.cluster import Cluster
from components.launch.kind import Kind, Object
from components.launch.refusals import Conflict


def end_job(cluster: Cluster, kind: Kind, resource: Object) -> None:
    """Stop this very resource, so that its operator makes nothing more of it, and delete it with all that it made.

    Asks once for each. Nothing happens when it is gone, or another one of its name is there.

    A resource that has to be stopped goes before what it made: Kubeflow Trainer (2.1 and 2.3) makes the JobSet of a
    TrainJob that is being deleted anew as soon as the garbage collector has removed it, and neither of them gives up.

    Raises:
        JobError: a missing right.
        Unreachable: the API server does not answer.
    """
    name, uid = resource["metadata"]["name"], resource["metadata"]["uid"]
    changed = kind.stopping()
    if changed:
        with contextlib.suppress(Conflict):  # another one of its name: the deletion spares it too
            cluster.patch(kind.resource, name, {"metadata": {"uid": uid}, "spec": changed})
    cluster.delete(kind.resource, name, uid, policy="Background" if changed else "Foreground")
