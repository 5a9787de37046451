"""The tests' cluster is a real one: its operators and webhooks work, its faults are real, and it leaves nothing."""

import json
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from tests.cluster.access import Cluster, Namespace
from tests.cluster.fault_proxy import FaultProxy
from tests.cluster.node import faults
from tests.cluster.node.isolation import DEVICE, inside
from tests.cluster.node.places import STATE
from tests.cluster.objects import Object, pod, pytorchjob, rayjob, training_runtime, trainjob
from tests.cluster.storage import Storage

JOBS = {
    "RayJob": rayjob,
    "PyTorchJob": pytorchjob,
    "TrainJob": lambda name: trainjob(name, "torch"),
}
PATIENCE_SECONDS = 90.0

pytestmark = pytest.mark.alone


def eventually(what: str, holds: Callable[[], Any], seconds: float = PATIENCE_SECONDS) -> Any:
    """Wait until a function returns something true; returns that."""
    deadline = time.monotonic() + seconds
    while not (found := holds()):
        assert time.monotonic() < deadline, f"waited {seconds:.0f} s in vain for {what}"
        time.sleep(0.5)
    return found


def apply(namespace: Namespace, *objects: Object, dry_run: bool = False) -> str:
    """Apply objects; returns all output of the API server and the webhooks."""
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
    mode = ["--dry-run=server"] if dry_run else []
    return namespace.kubectl("apply", "--server-side", *mode, "-f", "-", text=text, check=False)


@pytest.mark.parametrize("kind", JOBS)
def test_an_operator_s_kind_is_served_and_its_webhook_admits_a_valid_job(namespace: Namespace, kind: str) -> None:
    apply(namespace, training_runtime("torch"))
    assert "serverside-applied (server dry run)" in apply(namespace, JOBS[kind]("sound"), dry_run=True)


def test_webhooks_refuse_what_the_operators_cannot_run(namespace: Namespace) -> None:
    unnamed = pytorchjob("faulty")
    unnamed["spec"]["pytorchReplicaSpecs"]["Worker"]["template"]["spec"]["containers"][0]["name"] = "main"
    assert "denied the request" in apply(namespace, unnamed, dry_run=True)
    assert "denied the request" in apply(namespace, trainjob("faulty", "no-such-runtime"), dry_run=True)


POD_LABELS = {
    "PyTorchJob": "training.kubeflow.org/job-name=live",
    "TrainJob": "jobset.sigs.k8s.io/jobset-name=live",
    "RayJob": "ray.io/cluster",
}


@pytest.mark.parametrize("kind", POD_LABELS)
def test_operators_create_pods_that_pass_the_restricted_standard(namespace: Namespace, kind: str) -> None:
    apply(namespace, training_runtime("torch"), JOBS[kind]("live"))
    made = ["get", "pods", "-o", "jsonpath={.items[*].status.phase}", "-l", POD_LABELS[kind]]
    eventually("two pods", lambda: len(namespace.kubectl(*made).split()) == 2)


def test_a_namespace_refuses_pods_that_run_as_root(namespace: Namespace) -> None:
    rooted = pod("rooted")
    rooted["spec"]["securityContext"]["runAsNonRoot"] = False
    assert 'violates PodSecurity "restricted' in apply(namespace, rooted)


def test_the_storage_verifies_and_keeps_objects(namespace: Namespace, storage: Storage) -> None:
    storage.client.put_object(Bucket=namespace.bucket, Key="a/b", Body=b"content")
    assert storage.client.get_object(Bucket=namespace.bucket, Key="a/b")["Body"].read() == b"content"
    with pytest.raises(ClientError, match="PreconditionFailed"):
        storage.client.put_object(Bucket=namespace.bucket, Key="a/b", Body=b"other", IfNoneMatch="*")


def test_the_storage_is_not_trusted_without_its_authority(storage: Storage) -> None:
    client = _client(storage, storage.endpoint, verify=True)
    with pytest.raises(BotoCoreError, match="CERTIFICATE_VERIFY_FAILED"):
        client.list_buckets()


def test_the_proxy_fails_on_demand(namespace: Namespace, storage: Storage, s3_proxy: FaultProxy) -> None:
    client = _client(storage, s3_proxy.endpoint, verify=str(storage.authority))
    body = b"x" * 3_000_000
    client.put_object(Bucket=namespace.bucket, Key="through", Body=body)
    with s3_proxy.unavailable(), pytest.raises(ClientError, match="503"):
        client.put_object(Bucket=namespace.bucket, Key="refused", Body=body)
    with s3_proxy.cutting(), pytest.raises(BotoCoreError):
        client.get_object(Bucket=namespace.bucket, Key="through")
    assert client.get_object(Bucket=namespace.bucket, Key="through")["Body"].read() == body
    assert [item["Key"] for item in client.list_objects_v2(Bucket=namespace.bucket)["Contents"]] == ["through"]


def test_trainer_is_replaced_by_another_version(namespace: Namespace, use_trainer: Callable[[str], None]) -> None:
    patches = ("trainjobs.trainer.kubeflow.org", "-o", "json")
    for version, there, gone in (("2.1.0", "podTemplateOverrides", "runtimePatches"), ("2.3.0", "runtimePatches", "")):
        use_trainer(version)
        served = namespace.cluster.kubectl("get", "crd", *patches)
        assert f'"{there}"' in served, version
        assert not gone or f'"{gone}"' not in served, version
        apply(namespace, training_runtime("torch"))
        assert "serverside-applied" in apply(namespace, trainjob("sound", "torch"), dry_run=True), version


def test_the_api_server_comes_back_and_its_watches_break(own_node: Cluster) -> None:
    watch = subprocess.Popen(
        [*_kubectl(own_node), "get", "--raw", "/api/v1/pods?watch=true"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    time.sleep(1)
    faults.restart_api_server(down_seconds=1)
    assert watch.wait(timeout=20) is not None
    assert own_node.get("nodes")["items"]


@pytest.mark.parametrize("name", ["jobset", "trainer", "kuberay", "training-operator"])
def test_an_operator_is_stopped_and_comes_back(own_node: Cluster, namespace: Namespace, name: str) -> None:
    apply(namespace, training_runtime("torch"))
    with faults.operator_stopped(name):
        if name == "trainer":
            assert "failed calling webhook" in apply(namespace, JOBS["TrainJob"]("late"), dry_run=True)
    if name == "trainer":
        assert "serverside-applied" in apply(namespace, JOBS["TrainJob"]("late"), dry_run=True)


def test_a_container_is_killed_as_the_kernel_does(own_node: Cluster, namespace: Namespace) -> None:
    assert "serverside-applied" in apply(namespace, pod("victim"))
    phase = ["get", "pod", "victim", "-o", "jsonpath={.status.phase}"]
    eventually("the pod to run", lambda: namespace.kubectl(*phase) == "Running")
    faults.kill_container(namespace.name, "victim")
    eventually("the pod to fail", lambda: namespace.kubectl(*phase) == "Failed")
    code = "jsonpath={.status.containerStatuses[0].state.terminated.exitCode}"
    assert namespace.kubectl("get", "pod", "victim", "-o", code) == "137"


def test_nothing_of_the_node_is_in_this_machine_s_own_namespaces(own_node: Cluster, namespace: Namespace) -> None:
    assert "serverside-applied" in apply(namespace, pod("somebody"))
    running = ["get", "pod", "somebody", "-o", "jsonpath={.status.phase}"]
    eventually("the pod to run", lambda: namespace.kubectl(*running) == "Running")
    rules, mounts = ["iptables-save"], ["cat", "/proc/self/mountinfo"]
    assert "KUBE-SERVICES" in _output([*inside(), *rules])
    assert "KUBE-" not in _output(rules)
    assert f"{STATE}/containerd/state" in _output([*inside(), *mounts])
    assert f"{STATE}/" not in _output(mounts)
    devices = {path.name for path in Path("/sys/class/net").iterdir()}
    assert DEVICE in devices
    assert "cni0" not in devices


def _client(storage: Storage, endpoint: str, verify: str | bool) -> Any:
    once = Config(retries={"total_max_attempts": 1}, request_checksum_calculation="when_required")
    keys = {"aws_access_key_id": storage.key, "aws_secret_access_key": storage.secret, "region_name": "us-east-1"}
    return boto3.session.Session().client("s3", endpoint_url=endpoint, verify=verify, config=once, **keys)


def _kubectl(cluster: Cluster) -> list[str]:
    from tests.cluster.node.programs import KUBERNETES

    return [str(KUBERNETES.file("kubectl")), f"--kubeconfig={cluster.kubeconfig}"]


def _output(command: list[str]) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=3600).stdout
