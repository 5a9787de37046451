"""Kueue on the node, for single tests: its webhooks intercept every job, so the other tests run without it."""

from collections.abc import Iterator
from contextlib import contextmanager

from tests.cluster.node.commands import kubectl
from tests.cluster.node.operators import Operator, install, uninstall, wait_ready
from tests.cluster.node.programs import KUEUE

# The jobs that Tutelage makes, and no pods or jobs of others; PyTorchJobs are left out by default.
KINDS = '["trainer.kubeflow.org/trainjob", "kubeflow.org/pytorchjob", "jobset.x-k8s.io/jobset", "ray.io/rayjob"]'
FRAMEWORKS = (r"frameworks:\n(\s+(#.*|- .*)\n)+", f"frameworks: {KINDS}\n")
FLAVOR = "{apiVersion: kueue.x-k8s.io/v1beta2, kind: ResourceFlavor, metadata: {name: checked}}"
OPERATOR = Operator(KUEUE, "config", "default", "kueue-system", "kueue-controller-manager", (FRAMEWORKS,), FLAVOR)
QUEUES = "clusterqueues.kueue.x-k8s.io,resourceflavors.kueue.x-k8s.io"


@contextmanager
def kueue_installed() -> Iterator[None]:
    """Kueue runs inside the `with`; after it, nothing of it is left."""
    install(OPERATOR)
    try:
        wait_ready(OPERATOR)
        yield
    finally:
        # Its controller removes the finalizers, so its objects are deleted before it is.
        kubectl("delete", QUEUES, "--all")
        uninstall(OPERATOR)
