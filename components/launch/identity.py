"""Who starts a job: the namespace, the pipeline's run, and what owns the step's own pod."""

import os
from dataclasses import replace

from components.launch.clock import Clock
from components.launch.cluster import PODS, Cluster
from components.launch.connect import context_namespace, own_namespace
from components.launch.kind import Identity, Object
from components.launch.patience import patiently
from components.launch.refusals import Unreachable
from components.shared.errors import JobError

POD_VARIABLE = "KFP_POD_NAME"
RUN_OF_POD = "pipeline/runid"


def job_namespace(wanted: str) -> str:
    """Where a job goes: the namespace that the settings name, else the own pod's, else the kubeconfig's."""
    return wanted or own_namespace() or context_namespace()


def who_we_are(cluster: Cluster, clock: Clock) -> Identity:
    """The identity of this step, read from its own pod; outside a pod of Kubeflow there is only the namespace.

    Raises JobError when the pod may not be read.
    """
    identity = Identity(cluster.namespace, pod=own_pod())
    home = at_home(cluster)
    pod = patiently(clock, lambda: home.get(PODS, identity.pod)) if identity.pod and home else None
    if pod is None:
        return identity
    run = pod["metadata"].get("labels", {}).get(RUN_OF_POD, "")
    # An owner of another namespace does not exist for the garbage collector, which would delete the job at once.
    owner = owner_of(pod) if home is cluster else None
    return replace(identity, run=run, owner=owner)


def own_pod() -> str:
    """The name of the pod that this step runs in; empty outside Kubeflow."""
    return os.environ.get(POD_VARIABLE, "") if own_namespace() else ""


def owner_of(pod: Object) -> Object | None:
    """A reference to what owns a pod (Argo's Workflow), for others that it shall own; None when there is none."""
    owners = pod["metadata"].get("ownerReferences") or []
    if not owners:
        return None
    owner = next((one for one in owners if one.get("controller")), owners[0])
    reference = {name: owner[name] for name in ("apiVersion", "kind", "name", "uid")}
    return {**reference, "blockOwnerDeletion": False}


def pod_stays(cluster: Cluster) -> bool | None:
    """Whether our own pod is not being deleted, so that a SIGTERM means a cancelled run; None when nobody can tell.

    Asked in the second that is left after a SIGTERM: once.
    """
    home = at_home(cluster)
    if not own_pod() or home is None:
        return True
    try:
        pod = home.get(PODS, own_pod())
    except (Unreachable, JobError):
        return None
    return pod is not None and "deletionTimestamp" not in pod["metadata"]


def at_home(cluster: Cluster) -> Cluster | None:
    """The namespace of our own pod; None outside a cluster."""
    here = own_namespace()
    if not here:
        return None
    return cluster if cluster.namespace == here else cluster.beside(here)
