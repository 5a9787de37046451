"""What tests on a real cluster share: the cluster, its S3 server, a namespace for each test, and faults.

Nothing here imports the product: a test depends on what it uses of that, such as the plugins `job_fixtures` and
`training_fixtures`.
"""

import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

from tests.cluster.access import Cluster, Namespace, named_kubeconfig
from tests.cluster.fault_proxy import FaultProxy
from tests.cluster.images import build_and_load, missing
from tests.cluster.node.certificates import AUTHORITY
from tests.cluster.node.isolation import first_process
from tests.cluster.node.operators import DEFAULT_TRAINER, switch_trainer
from tests.cluster.node.places import CERTIFICATES, HOST_ADDRESS, KUBECONFIG, STORAGE_ADDRESS
from tests.cluster.node.storage import ENDPOINT, storage_keys
from tests.cluster.storage import VARIABLES, Storage, named_storage
from tests.deadlines import ended

TEST_SECONDS = 1500
"""How long a test on a cluster may take where it says nothing itself: pods share the node's cores with other tests."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give tests their time, and run long tests first, so that none of them is left when the others have ended."""
    for item in items:
        if item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(TEST_SECONDS))
    items.sort(key=lambda item: item.get_closest_marker("long") is None)


class OneRunInOneProcess(LoadScopeScheduling):
    """Distributes tests one by one, but the demo's together: they check one run, which takes minutes.

    pytest-xdist's own groups (3.8) are lost with pytest 9.2, which keeps the names of tests to itself.
    """

    def _split_scope(self, nodeid: str) -> str:
        module = nodeid.partition("::")[0]
        return module if module.endswith("test_demo.py") else nodeid


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> OneRunInOneProcess:
    """How tests are distributed over processes."""
    return OneRunInOneProcess(config, log)


@pytest.fixture(scope="session")
def cluster() -> Cluster:
    """The cluster that KUBECONFIG names; without it, the node of `make cluster-up` when it is up."""
    named = named_kubeconfig() or (KUBECONFIG if first_process() else None)
    if named is None:
        pytest.skip("needs a cluster: make cluster-up, or KUBECONFIG that names one")
    found = Cluster(named, own=named == KUBECONFIG)
    answer = found.kubectl("get", "--raw", "/readyz", check=False)
    if answer.strip() != "ok":
        pytest.skip(f"needs a cluster; that of {named} does not answer: {answer.strip()[-200:]}")
    return found


@pytest.fixture(scope="session")
def own_node(cluster: Cluster) -> Cluster:
    """The cluster, when it is this machine's own node: its API server and operators may be stopped."""
    if not cluster.own:
        pytest.skip("needs the node of make cluster-up: this test stops parts of the cluster")
    return cluster


@pytest.fixture(scope="session")
def images(cluster: Cluster) -> None:
    """The product's images, available to the cluster."""
    if cluster.own:
        build_and_load()
    elif variables := missing():
        pytest.skip(f"needs images that the cluster can pull (make images): {', '.join(variables)} name them")


@pytest.fixture(scope="session")
def storage(cluster: Cluster) -> Storage:
    """The S3 server for pods and tests."""
    if cluster.own:
        keys = storage_keys()
        return Storage(ENDPOINT, keys["AWS_ACCESS_KEY_ID"], keys["AWS_SECRET_ACCESS_KEY"], AUTHORITY)
    named = named_storage()
    if named is None:
        pytest.skip(f"needs an S3 server that pods reach: {', '.join(VARIABLES.values())} say where")
    return named


@pytest.fixture(scope="session")
def removed(cluster: Cluster) -> Iterator[list[Namespace]]:
    """Namespaces whose removal has begun; in the end they must be gone."""
    begun: list[Namespace] = []
    yield begun
    for one in begun:
        one.require_gone()


@pytest.fixture
def namespace(
    cluster: Cluster, storage: Storage, removed: list[Namespace], request: pytest.FixtureRequest
) -> Iterator[Namespace]:
    """A namespace with restricted pods, a bucket, its keys, the authority, and what the product ships for a team."""
    own = Namespace(cluster)
    storage.client.create_bucket(Bucket=own.bucket)
    try:
        own.fill(storage.keys, storage.authority.read_text())
        yield own
    finally:
        own.begin_removal()
        storage.remove_bucket(own.bucket)
        if request.node.get_closest_marker("alone"):
            own.require_gone()  # operators that such a test stops or replaces have to see its objects go
        else:
            removed.append(own)


@pytest.fixture
def s3_proxy(own_node: Cluster) -> Iterator[FaultProxy]:
    """The S3 server through a proxy that can refuse requests and break connections."""
    server = (STORAGE_ADDRESS, 7070)
    pair = (CERTIFICATES / "storage.crt", CERTIFICATES / "storage.key")
    proxy = FaultProxy(HOST_ADDRESS, server, *pair, authority=AUTHORITY)
    yield proxy
    proxy.close()


@pytest.fixture
def use_trainer(own_node: Cluster) -> Iterator[Callable[[str], None]]:
    """Replaces Kubeflow Trainer by another version; the default one is restored after the test."""
    yield switch_trainer
    switch_trainer(DEFAULT_TRAINER)


@pytest.fixture
def empty_registry(own_node: Cluster) -> Iterator[str]:
    """A registry without images on the node's loopback: a web server that answers 404."""
    port, network = "5099", f"--net=/proc/{first_process()}/ns/net"
    server = [sys.executable, "-m", "http.server", "--bind", "127.0.0.1", port]
    with tempfile.TemporaryDirectory() as empty:
        process = subprocess.Popen(["nsenter", network, *server], cwd=empty, stderr=subprocess.DEVNULL)
        yield f"localhost:{port}"
        process.kill()
        ended(process)
