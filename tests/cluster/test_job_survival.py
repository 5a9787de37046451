"""Jobs survive what happens on a cluster: lost pods, restarted servers, expired tokens, killed steps."""

import json
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.access import Cluster, Namespace
from tests.cluster.jobs import Start, StartedJob, account_kubeconfig, new_token, small_job, wait_for
from tests.cluster.node import faults
from tests.cluster.objects import extended_pod, priority_class

pytest_plugins = "tests.cluster.job_fixtures"

LONG = "import time; print('at work', flush=True); time.sleep({seconds}); print('work is done', flush=True)"


@pytest.mark.parametrize("launcher", ["TrainJob", "PyTorchJob"])
def test_job_restarts_after_losing_a_worker(namespace: Namespace, start: Start, launcher: str) -> None:
    job = start(small_job(namespace, LONG.format(seconds=40), launcher=launcher, nodes=2))
    job.says("at work")
    wait_for("two pods", lambda: len(job.running_pods()) == 2, 60, job.state)
    victim = job.running_pods()[-1]
    namespace.kubectl("delete", "pod", victim, "--grace-period=0", "--force", "--wait=false")
    job.says("starting again, 1 of 1")
    assert job.ended() == 0, job.log
    assert "work is done" in job.log
    assert job.resource() is not None, "it is kept for ttl_seconds"


@pytest.mark.parametrize("launcher", ["TrainJob", "PyTorchJob", "JobSet"])
def test_job_continues_on_the_node_that_is_left(namespace: Namespace, start: Start, launcher: str) -> None:
    """A quota has room for one pod, as a cluster of which a node is gone."""
    fewer: dict[str, Any] = {"nodes": 2, "least_nodes": 1, "replace_seconds": 20}
    job = start(small_job(namespace, LONG.format(seconds=40), launcher=launcher, **fewer))
    job.says("at work")
    wait_for("two pods", lambda: len(job.running_pods()) == 2, 60, job.state)
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "pods"}, "spec": {"hard": {"pods": "1"}}}
    namespace.cluster.apply(quota, namespace=namespace.name)
    victim = job.running_pods()[-1]
    namespace.kubectl("delete", "pod", victim, "--grace-period=0", "--force", "--wait=false")
    job.says("starting again, 1 of 1")
    job.says("1 of 2 nodes are there after 20 s; continuing on 1 node")
    assert job.ended() == 0, job.log + job.state()
    assert "work is done" in job.log
    resource = job.resource()
    assert resource is not None and resource["metadata"]["annotations"]["tutelage.dev/nodes"] in ("0", "1")


def test_job_restarts_after_a_process_is_killed(own_node: Cluster, namespace: Namespace, start: Start) -> None:
    job = start(small_job(namespace, LONG.format(seconds=20)))
    job.says("at work")
    faults.kill_container(namespace.name, job.running_pods()[0])
    job.says("starting again, 1 of 1")
    assert job.ended() == 0, job.log


SLOT = "tests.tutelage.dev/slot"
"""A resource of which the node has one unit, so that one pod preempts the other and no third one."""


@pytest.fixture
def one_slot(own_node: Cluster) -> Iterator[Cluster]:
    """The node with one slot, and two priorities."""
    patch = ("patch", "node", "node", "--subresource=status", "--type=merge", "-p")
    own_node.kubectl(*patch, f'{{"status":{{"capacity":{{"{SLOT}":"1"}}}}}}')
    names = ("tutelage-tests-low", "tutelage-tests-high")
    for value, name in enumerate(names, 1):
        own_node.apply(priority_class(name, value))
    yield own_node
    own_node.kubectl("delete", "priorityclass", *names)
    own_node.kubectl(*patch, f'{{"status":{{"capacity":{{"{SLOT}":null}}}}}}')


def test_preempted_job_restarts_when_there_is_capacity(one_slot: Cluster, namespace: Namespace, start: Start) -> None:
    pods = {"gpus": 1, "gpu_resource": SLOT, "priority_class": "tutelage-tests-low"}
    job = start(small_job(namespace, LONG.format(seconds=20), launcher="PyTorchJob", pods=pods))
    job.says("at work")
    one_slot.apply(extended_pod("important", SLOT, "tutelage-tests-high"), namespace=namespace.name)
    job.says("starting again, 1 of 1")
    assert "Preempted" in job.log
    namespace.kubectl("delete", "pod", "important")
    assert job.ended() == 0, job.log
    assert "work is done" in job.log


def test_job_restarts_after_its_node_is_drained(namespace: Namespace, start: Start) -> None:
    job = start(small_job(namespace, LONG.format(seconds=20)))
    job.says("at work")
    (victim,) = job.running_pods()
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": victim}}
    path = f"/api/v1/namespaces/{namespace.name}/pods/{victim}/eviction"
    namespace.kubectl("create", "--raw", path, "-f", "-", text=json.dumps(eviction))
    job.says("starting again, 1 of 1")
    assert "Evicted" in job.log
    assert job.ended() == 0, job.log


def test_killed_step_finds_its_job_again(namespace: Namespace, start: Start) -> None:
    wanted = small_job(namespace, LONG.format(seconds=40))
    first = start(wanted)
    first.says("at work")
    made = first.resource()
    first.process.send_signal(signal.SIGKILL)
    first.ended(10)
    second = start(wanted)
    assert second.ended() == 0, second.log
    after = second.resource()
    assert made is not None and after is not None
    assert after["metadata"]["uid"] == made["metadata"]["uid"], "one job, not two"
    assert "work is done" in second.log


def test_two_steps_at_once_share_one_job(namespace: Namespace, start: Start) -> None:
    wanted = small_job(namespace, LONG.format(seconds=15))
    steps = [start(wanted), start(wanted)]
    assert [step.ended() for step in steps] == [0, 0], steps[0].log + steps[1].log
    assert all("work is done" in step.log for step in steps)
    assert len({pod["metadata"]["name"] for pod in steps[0].pods()}) == 1


def test_cancelled_step_deletes_its_job(namespace: Namespace, start: Start) -> None:
    job = start(small_job(namespace, LONG.format(seconds=600)))
    job.says("at work")
    job.process.send_signal(signal.SIGTERM)
    assert job.ended(30) != 0
    wait_for("the job to be gone", lambda: job.resource() is None and not job.pods(), 90, job.state)


@pytest.mark.alone
def test_api_server_restarts(own_node: Cluster, namespace: Namespace, start: Start) -> None:
    job = start(small_job(namespace, LONG.format(seconds=40)))
    job.says("at work")
    faults.restart_api_server(down_seconds=8)
    assert job.ended() == 0, job.log
    assert job.log.count("work is done") == 1, "the log continues where it broke, and repeats no line"


@pytest.mark.alone
@pytest.mark.parametrize(("launcher", "operator"), [("TrainJob", "trainer"), ("PyTorchJob", "training-operator")])
def test_operator_restarts(own_node: Cluster, namespace: Namespace, start: Start, launcher: str, operator: str) -> None:
    job = start(small_job(namespace, LONG.format(seconds=10), launcher=launcher))
    job.says("at work")
    with faults.operator_stopped(operator):
        job.says("work is done")  # it ends while its operator is down
    assert job.ended() == 0, job.log


def test_token_expires(images: None, namespace: Namespace, tmp_path: Path) -> None:
    bound = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "life-of-the-token"}}
    namespace.cluster.apply(bound, namespace=namespace.name)
    options = ("--bound-object-kind=Secret", "--bound-object-name=life-of-the-token")
    kubeconfig = account_kubeconfig(namespace, tmp_path, *options)
    job = StartedJob(namespace, small_job(namespace, LONG.format(seconds=45)), kubeconfig, tmp_path)
    try:
        job.says("at work")
        # The kubelet writes a new token before the old one expires; the old one expires with the object it is bound to.
        (tmp_path / "token").write_text(new_token(namespace))
        namespace.kubectl("delete", "secret", "life-of-the-token")
        assert job.ended() == 0, job.log
    finally:
        job.stop()
    assert "work is done" in job.log


@pytest.mark.alone
@pytest.mark.parametrize("version", ["2.1.0"])
def test_older_trainer(use_trainer: Callable[[str], None], namespace: Namespace, start: Start, version: str) -> None:
    use_trainer(version)
    namespace.apply_product()  # its runtime went with the other version's definitions
    job = start(small_job(namespace, LONG.format(seconds=3), nodes=2))
    assert job.ended() == 0, job.log + job.state()
    made = job.resource()
    assert made is not None and "podTemplateOverrides" in made["spec"]
