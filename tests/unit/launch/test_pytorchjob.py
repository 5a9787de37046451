"""A PyTorchJob that the training-operator 1.9 runs, and what its status means."""

from typing import Any

import pytest
from pydantic import ValidationError

from components.launch.kinds.kind import Standing
from components.launch.kinds.pytorchjob import PyTorchJobKind
from tests.unit.launch.crd_schemas import assert_valid
from tests.unit.launch.jobs import ATTEMPT, FULL_PODS, LABELS, assert_restricted, train_job, variables

KIND = PyTorchJobKind()


def worker(manifest: dict[str, Any]) -> dict[str, Any]:
    [(role, replicas)] = manifest["spec"]["pytorchReplicaSpecs"].items()
    assert role == "Worker"  # a master brings an init container that a restricted namespace refuses
    found: dict[str, Any] = replicas
    return found


@pytest.mark.parametrize("pods", [None, FULL_PODS, {**FULL_PODS, "queue": "team-a"}])
def test_the_operators_crd_accepts_it(pods: dict[str, Any] | None) -> None:
    assert_valid("pytorchjob-1.9.4", KIND.manifest(train_job(pods), ATTEMPT))


def test_worker_0_is_the_rendezvous() -> None:
    manifest = KIND.manifest(train_job(processes_per_node=4), ATTEMPT)
    replicas = worker(manifest)
    found = variables(replicas["template"]["spec"]["containers"][0])
    assert (replicas["replicas"], manifest["spec"]["nprocPerNode"]) == (2, "4")
    assert found["PET_MASTER_ADDR"] == "train-sft-0123456789abcdef-worker-0"
    assert found["PET_NODE_RANK"]["fieldRef"]["fieldPath"] == "metadata.labels['training.kubeflow.org/replica-index']"


def test_pods_pass_the_restricted_standard_and_have_our_labels() -> None:
    template = worker(KIND.manifest(train_job(FULL_PODS), ATTEMPT))["template"]
    assert_restricted(template["spec"])
    assert template["metadata"]["labels"].items() >= LABELS.items()
    name, _, value = KIND.pod_selector(train_job()).partition("=")
    assert template["metadata"]["labels"][name] == value


def test_nothing_restarts_and_everything_ends() -> None:
    manifest = KIND.manifest(train_job(timeout_seconds=100, start_seconds=20, ttl_seconds=60), ATTEMPT)
    assert worker(manifest)["restartPolicy"] == "Never"
    assert manifest["spec"]["runPolicy"] == {
        "cleanPodPolicy": "Running",
        "backoffLimit": 0,
        "activeDeadlineSeconds": 120,
        "ttlSecondsAfterFinished": 60,
        "suspend": False,
    }


def test_a_queue_admits_it() -> None:
    manifest = KIND.manifest(train_job({**FULL_PODS, "queue": "team-a", "queue_priority": "urgent"}), ATTEMPT)
    assert manifest["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "team-a"
    assert manifest["metadata"]["labels"]["kueue.x-k8s.io/priority-class"] == "urgent"
    assert manifest["spec"]["runPolicy"]["suspend"] is True
    assert KIND.standing(manifest).state == "queued"


def test_a_priority_without_a_queue_is_refused() -> None:
    with pytest.raises(ValidationError, match="queue_priority 'urgent' needs a queue"):
        train_job({**FULL_PODS, "queue_priority": "urgent"})


def conditions(*true: str, message: str = "") -> dict[str, Any]:
    reasons = {"Failed": "PyTorchJobFailed"}
    listed = [
        {
            "type": kind,
            "status": "True" if kind in true else "False",
            "reason": reasons.get(kind, ""),
            "message": message,
        }
        for kind in ("Created", "Running", "Succeeded", "Failed")
    ]
    return {"spec": {"runPolicy": {"suspend": False}}, "status": {"conditions": listed}}


@pytest.mark.parametrize(
    ("resource", "standing"),
    [
        ({"spec": {}}, Standing("starting")),
        (conditions("Created"), Standing("starting")),
        (conditions("Created", "Running"), Standing("running")),
        (conditions("Created", "Succeeded", message="done"), Standing("succeeded", "", "done")),
        (conditions("Created", "Failed", message="1 failed"), Standing("failed", "PyTorchJobFailed", "1 failed")),
        (
            conditions("Failed", message="Job x has failed because it was active longer than specified deadline"),
            Standing(
                "failed", "DeadlineExceeded", "Job x has failed because it was active longer than specified deadline"
            ),
        ),
    ],
)
def test_standing(resource: dict[str, Any], standing: Standing) -> None:
    assert KIND.standing(resource) == standing


def test_the_log_is_that_of_worker_0() -> None:
    pods = [{"metadata": {"labels": {"training.kubeflow.org/replica-index": str(i)}}} for i in range(2)]
    assert [KIND.is_main(pod) for pod in pods] == [True, False]
    assert [KIND.node_of(pod) for pod in pods] == [0, 1]
