"""Faults that a test can cause on the node, and that need more than the Kubernetes API. Each leaves a healthy node."""

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager

from tests.cluster.node import daemons
from tests.cluster.node.commands import kubectl
from tests.cluster.node.containers import container_of, ctr
from tests.cluster.node.daemons import Daemon
from tests.cluster.node.operators import Operator, operator_named, wait_ready
from tests.cluster.node.start import api_server_answers


@contextmanager
def stopped(daemon: Daemon) -> Iterator[None]:
    """A daemon is down inside the `with`: killed at its beginning, started again at its end."""
    daemons.stop(daemon, signal.SIGKILL)
    try:
        yield
    finally:
        daemons.start(daemon)
        daemons.wait_until(daemons.name_of(daemon), lambda: bool(daemons.numbers_of(daemon)))


def restart_api_server(down_seconds: float = 5.0) -> None:
    """The API server breaks off every watch and request, refuses connections for a while, and comes back."""
    with stopped(daemons.API_SERVER):
        time.sleep(down_seconds)
    daemons.wait_until("the API server", api_server_answers)


def restart_operator(name: str) -> None:
    """An operator (jobset, trainer, kuberay, training-operator) restarts; returns when it serves again."""
    with operator_stopped(name):
        pass


@contextmanager
def operator_stopped(name: str) -> Iterator[None]:
    """An operator does not run inside the `with`: nobody acts on its resources, and its webhooks fail."""
    operator = operator_named(name)
    place = ("-n", operator.namespace)
    deployment = f"deployment/{operator.deployment}"
    kubectl("scale", *place, deployment, "--replicas=0")
    try:
        daemons.wait_until(f"{name} to end", lambda: not _has_pods(operator))
        yield
    finally:
        kubectl("scale", *place, deployment, "--replicas=1")
        wait_ready(operator)


def kill_container(namespace: str, pod: str, container: str = "") -> None:
    """The main process of a pod's container ends by SIGKILL, as when the kernel runs out of memory."""
    ctr("tasks", "kill", "--signal", "SIGKILL", container_of(namespace, pod, container))


def _has_pods(operator: Operator) -> bool:
    pods = kubectl("get", "pods", "-n", operator.namespace, "-o", "name")
    return f"/{operator.deployment}-" in pods
