"""The long-running programs of the node, each with its command line, started inside the node's namespaces."""

import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass

from tests.cluster.node.configuration import CONTAINERD_FILE, COREDNS_FILE, KUBE_PROXY_FILE, KUBELET_FILE
from tests.cluster.node.errors import NodeError
from tests.cluster.node.isolation import end_processes, inside, processes
from tests.cluster.node.places import CERTIFICATES, KUBECONFIG, LOGS, NODE_ADDRESS, SERVICE_NETWORK, STATE
from tests.cluster.node.programs import COREDNS, ETCD, KUBERNETES

ETCD_URL = "http://127.0.0.1:2379"


@dataclass(frozen=True)
class Daemon:
    """A program by its file's name, and its arguments."""

    program: str
    arguments: tuple[str, ...]


CONTAINERD = Daemon("containerd", (f"--config={CONTAINERD_FILE}",))

STORE = Daemon(
    str(ETCD.file()),
    (
        f"--data-dir={STATE}/etcd",
        f"--listen-client-urls={ETCD_URL}",
        f"--advertise-client-urls={ETCD_URL}",
        "--listen-peer-urls=http://127.0.0.1:2380",
        "--unsafe-no-fsync",  # the node's objects do not outlive it
        "--log-level=warn",
    ),
)

API_SERVER = Daemon(
    str(KUBERNETES.file("kube-apiserver")),
    (
        f"--etcd-servers={ETCD_URL}",
        f"--advertise-address={NODE_ADDRESS}",
        "--secure-port=6443",
        f"--tls-cert-file={CERTIFICATES}/apiserver.crt",
        f"--tls-private-key-file={CERTIFICATES}/apiserver.key",
        f"--client-ca-file={CERTIFICATES}/ca.crt",
        "--authorization-mode=Node,RBAC",
        f"--service-account-key-file={CERTIFICATES}/tokens.key",
        f"--service-account-signing-key-file={CERTIFICATES}/tokens.key",
        "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
        # Tokens expire when they say, so that a test of expiry need not wait a year.
        "--service-account-extend-token-expiration=false",
        f"--service-cluster-ip-range={SERVICE_NETWORK}",
        f"--kubelet-certificate-authority={CERTIFICATES}/ca.crt",
        f"--kubelet-client-certificate={CERTIFICATES}/admin.crt",
        f"--kubelet-client-key={CERTIFICATES}/admin.key",
        "--kubelet-preferred-address-types=InternalIP",
        "--allow-privileged=false",
    ),
)

CONTROLLERS = Daemon(
    str(KUBERNETES.file("kube-controller-manager")),
    (
        f"--kubeconfig={KUBECONFIG}",
        f"--service-account-private-key-file={CERTIFICATES}/tokens.key",
        f"--root-ca-file={CERTIFICATES}/ca.crt",
        "--use-service-account-credentials=true",
        "--leader-elect=false",
        # Two busy cores respond late, which does not make the node a lost one.
        "--node-monitor-grace-period=5m",
    ),
)

SCHEDULER = Daemon(
    str(KUBERNETES.file("kube-scheduler")),
    (f"--kubeconfig={KUBECONFIG}", "--leader-elect=false"),
)

NAMES = Daemon(str(COREDNS.file()), ("-conf", str(COREDNS_FILE)))
SERVICES = Daemon(str(KUBERNETES.file("kube-proxy")), (f"--config={KUBE_PROXY_FILE}",))

KUBELET = Daemon(
    str(KUBERNETES.file("kubelet")),
    (
        f"--config={KUBELET_FILE}",
        f"--kubeconfig={KUBECONFIG}",
        "--hostname-override=node",
        f"--node-ip={NODE_ADDRESS}",
        f"--root-dir={STATE}/kubelet",
        "--housekeeping-interval=30s",
    ),
)

DAEMONS = (CONTAINERD, STORE, API_SERVER, CONTROLLERS, SCHEDULER, NAMES, SERVICES, KUBELET)


def name_of(daemon: Daemon) -> str:
    """The program's file name: kube-apiserver, kubelet, …"""
    return daemon.program.rpartition("/")[2]


def start(daemon: Daemon) -> None:
    """Start a daemon inside the node, its output appended to its log."""
    with (LOGS / f"{name_of(daemon)}.log").open("ab") as log:
        command = [*inside(), daemon.program, *daemon.arguments]
        subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)


def stop(daemon: Daemon, how: signal.Signals = signal.SIGTERM) -> None:
    """End a daemon; killed when it has not ended after 15 s."""
    numbers = numbers_of(daemon)
    if not end_processes(numbers, how, seconds=15):
        end_processes(numbers, signal.SIGKILL, seconds=5)


def numbers_of(daemon: Daemon) -> list[int]:
    """The processes of a daemon: one, or none when it is down."""
    return [number for number, program in processes().items() if program == name_of(daemon)]


def wait_until(what: str, holds: Callable[[], bool], seconds: float = 120.0) -> None:
    """Poll until a condition holds.

    Raises:
        NodeError: it does not hold in time.
    """
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            raise NodeError(f"waited {seconds:.0f} s in vain for {what}; logs: {LOGS}")
        time.sleep(0.2)
