"""Jobs in the queue of a real Kueue: they wait as long as it takes, and survive being evicted into it again."""

import time
from collections.abc import Iterator

import pytest

from tests.cluster.access import Cluster, Namespace
from tests.cluster.jobs import Start, small_job, wait_for
from tests.cluster.node.kueue import kueue_installed
from tests.cluster.objects import Object, cluster_queue, local_queue, queue_priority, resource_flavor

pytest_plugins = "tests.cluster.job_fixtures"
pytestmark = pytest.mark.alone

QUEUE = "team"
URGENT = 7


@pytest.fixture(scope="module")
def kueue(own_node: Cluster) -> Iterator[Cluster]:
    """The cluster with Kueue, a ResourceFlavor and a queue for all namespaces."""
    with kueue_installed():
        own_node.apply(resource_flavor("any"))
        own_node.apply(cluster_queue("all", flavor="any"))
        own_node.apply(queue_priority("urgent", URGENT))
        yield own_node


class Queue:
    """The test's own queue, and the stop policy of the cluster queue behind it."""

    def __init__(self, cluster: Cluster, namespace: Namespace) -> None:
        self.cluster, self.namespace = cluster, namespace
        cluster.apply(local_queue(QUEUE, "all"), namespace=namespace.name)

    def gate(self, policy: str) -> None:
        """None admits workloads, Hold admits no new ones, HoldAndDrain evicts those that are admitted."""
        patch = f'{{"spec":{{"stopPolicy":"{policy}"}}}}'
        self.cluster.kubectl("patch", "clusterqueue", "all", "--type=merge", "-p", patch)

    def workload(self) -> Object:
        """Kueue's Workload of the namespace's only job."""
        (found,) = self.cluster.get("workloads.kueue.x-k8s.io", namespace=self.namespace.name)["items"]
        return dict(found)

    def conditions(self) -> set[str]:
        """The true conditions of that workload."""
        found = self.workload().get("status", {}).get("conditions", [])
        return {one["type"] for one in found if one["status"] == "True"}


@pytest.fixture
def queue(kueue: Cluster, namespace: Namespace) -> Iterator[Queue]:
    """A queue that admits workloads again after the test."""
    made = Queue(kueue, namespace)
    yield made
    made.gate("None")


@pytest.mark.parametrize("launcher", ["TrainJob", "PyTorchJob", "JobSet"])
def test_job_waits_longer_than_it_may_run(queue: Queue, start: Start, launcher: str) -> None:
    queue.gate("Hold")
    pods = {"queue": QUEUE, "queue_priority": "urgent"}
    wanted = small_job(queue.namespace, "print('released')", launcher=launcher, timeout_seconds=60, pods=pods)
    job = start(wanted)
    job.says("waits in the queue", 60)
    time.sleep(65)
    assert job.process.poll() is None, "longer than timeout_seconds, and still waiting"
    assert not job.pods()
    assert queue.workload()["spec"]["priority"] == URGENT
    queue.gate("None")
    assert job.ended() == 0, job.log + job.state()
    assert "released" in job.log
    wait_for("the workload to be finished", lambda: "Finished" in queue.conditions(), 60)


def test_job_that_is_evicted_into_the_queue_runs_again(queue: Queue, start: Start) -> None:
    statement = "import time; print('at work', flush=True); time.sleep(20); print('work is done', flush=True)"
    job = start(small_job(queue.namespace, statement, pods={"queue": QUEUE}))
    job.says("at work")
    queue.gate("HoldAndDrain")
    job.says("waits in the queue", 90)
    wait_for("its pods to be gone", lambda: not job.pods(), 90, job.state)
    queue.gate("None")
    assert job.ended() == 0, job.log + job.state()
    assert job.log.count("work is done") == 1
    assert "starting again" not in job.log, "an eviction by the queue does not count as a restart"
