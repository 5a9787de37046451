"""Who starts a job: the namespace, the pipeline run, and the owner of the step's own pod."""

import os
from dataclasses import replace

from components.launch.api.clock import Clock
from components.launch.api.cluster import Cluster
from components.launch.api.connect import context_namespace, own_namespace
from components.launch.api.refusals import Unreachable
from components.launch.api.resources import PODS, Object
from components.launch.api.silence import until_answered
from components.launch.kinds.kind import Identity
from components.shared.errors import JobError

POD_VARIABLE = "KFP_POD_NAME"
RUN_OF_POD = "pipeline/runid"


def job_namespace(wanted: str) -> str:
    """The namespace of a job: the one that the settings name, else the own pod's, else the kubeconfig's."""
    return wanted or own_namespace() or context_namespace()


def who_we_are(cluster: Cluster, clock: Clock) -> Identity:
    """The identity of this step, read from its own pod; outside Kubeflow it has only the namespace.

    Raises JobError when the right to read the pod is missing.
    """
    identity = Identity(cluster.namespace, pod=own_pod())
    home = at_home(cluster)
    pod = until_answered(clock, lambda: home.get(PODS, identity.pod)) if identity.pod and home else None
    if pod is None:
        return identity
    run = pod["metadata"].get("labels", {}).get(RUN_OF_POD, "")
    # The garbage collector does not find an owner in another namespace, and would delete the job at once.
    owner = owner_of(pod) if home is cluster else None
    return replace(identity, run=run, owner=owner)


def own_pod() -> str:
    """The name of the pod that this step runs in; empty outside Kubeflow."""
    return os.environ.get(POD_VARIABLE, "") if own_namespace() else ""


def owner_of(pod: Object) -> Object | None:
    """An owner reference to the owner of a pod (Argo's Workflow); None when the pod has none."""
    owners = pod["metadata"].get("ownerReferences") or []
    if not owners:
        return None
    owner = next((one for one in owners if one.get("controller")), owners[0])
    reference = {name: owner[name] for name in ("apiVersion", "kind", "name", "uid")}
    return {**reference, "blockOwnerDeletion": False}


def pod_stays(cluster: Cluster) -> bool | None:
    """Whether our own pod is not being deleted, so that a SIGTERM means a cancelled run; None when unknown.

    One request only: less than a second may be left after a SIGTERM.
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
