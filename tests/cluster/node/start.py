"""Starting the node: from its programs to a Ready node with all operators and the storage."""

import http.client
import shutil
import ssl

from tests.cluster.node import containers, daemons
from tests.cluster.node.build import PAUSE, build_missing
from tests.cluster.node.certificates import AUTHORITY, make_certificates
from tests.cluster.node.cgroups import make_cgroups
from tests.cluster.node.commands import kubectl
from tests.cluster.node.configuration import PAUSE_IMAGE, write_configuration
from tests.cluster.node.errors import NodeError
from tests.cluster.node.isolation import create_namespaces, first_process
from tests.cluster.node.operators import install_operators, wait_for_deployments
from tests.cluster.node.places import CERTIFICATES, CONTAINERD, LOGS, NODE_ADDRESS, STATE
from tests.cluster.node.prerequisites import check_prerequisites
from tests.cluster.node.stop import stop_node
from tests.cluster.node.storage import install_storage

NOT_KEPT = ("etcd", "kubelet", "addresses", "log", "containerd/state")
"""What a node that was stopped, or crashed, left behind: objects, pods, their addresses and logs. Images are kept."""


def start_node() -> None:
    """Make the node Ready with operators and storage, from any state: nothing, a crashed node, a node that is up.

    Raises:
        NodeError: something is missing or did not come up in time.
    """
    check_prerequisites()
    build_missing()
    if not is_up():
        stop_node()
        _start_control_plane()
        daemons.wait_until("the node to be Ready", _node_is_ready)
    install_storage()
    install_operators()
    wait_for_deployments()


def is_up() -> bool:
    """Whether all daemons run and the API server answers."""
    return first_process() is not None and all(map(daemons.numbers_of, daemons.DAEMONS)) and api_server_answers()


def api_server_answers() -> bool:
    """Whether the API server reports that it is ready."""
    context = ssl.create_default_context(cafile=str(AUTHORITY))
    context.load_cert_chain(CERTIFICATES / "admin.crt", CERTIFICATES / "admin.key")
    connection = http.client.HTTPSConnection(NODE_ADDRESS, 6443, timeout=5, context=context)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _start_control_plane() -> None:
    for name in NOT_KEPT:
        shutil.rmtree(STATE / name, ignore_errors=True)
    LOGS.mkdir(parents=True)
    make_certificates()
    write_configuration()
    make_cgroups()
    create_namespaces()
    daemons.start(daemons.STORE)
    daemons.start(daemons.API_SERVER)
    _start_containers()
    daemons.wait_until("the API server", api_server_answers)
    for daemon in (daemons.CONTROLLERS, daemons.SCHEDULER, daemons.NAMES, daemons.SERVICES, daemons.KUBELET):
        daemons.start(daemon)


def _start_containers() -> None:
    daemons.start(daemons.CONTAINERD)
    daemons.wait_until("containerd", containers.answers)
    if containers.remove_containers():  # of the node before this one; containerd has read them already
        daemons.stop(daemons.CONTAINERD)
        shutil.rmtree(CONTAINERD / "root/io.containerd.grpc.v1.cri", ignore_errors=True)
        daemons.start(daemons.CONTAINERD)
        daemons.wait_until("containerd", containers.answers)
    containers.wrap_program(PAUSE, PAUSE_IMAGE, "/pause")


def _node_is_ready() -> bool:
    ready = "jsonpath={.status.conditions[?(@.type=='Ready')].status}"
    try:
        return kubectl("get", "node", "node", "-o", ready).strip() == "True"
    except NodeError:
        return False
