"""Failures of pods are classified by their status, and what keeps pods from starting is reported in time."""

from typing import Any

import pytest

from components.launch.api.clock import timestamp_of
from components.launch.api.resources import Object
from components.launch.verdicts.failure import failure_of, first_failure
from components.launch.verdicts.start_trouble import Troubles

NOON = 1_800_000_000.0
GRACE_SECONDS = 60


def at(seconds: float) -> str:
    return timestamp_of(NOON + seconds)


def pod(name: str = "pod-0", *, phase: str = "Running", **parts: Any) -> Object:
    """A pod made at noon: `state` of its container, `meta`, and more of its status."""
    state = parts.pop("state", {"running": {"startedAt": at(0)}})
    meta = {"name": name, "uid": name, "creationTimestamp": at(0), **parts.pop("meta", {})}
    status = {"phase": phase, "containerStatuses": [{"name": "main", "state": state}], **parts}
    return {"metadata": meta, "spec": {"containers": [{"name": "main"}]}, "status": status}


def ended(code: int, seconds: float = 10, reason: str = "Error", name: str = "pod-0", **parts: Any) -> Object:
    state = {"terminated": {"exitCode": code, "reason": reason, "finishedAt": at(seconds)}}
    return pod(name, phase=parts.pop("phase", "Failed" if code else "Succeeded"), state=state, **parts)


def deleted(seconds: float, grace: int = 30) -> dict[str, Any]:
    """Metadata of a pod whose deletion was requested; the API reports when its grace period ends."""
    return {"deletionTimestamp": at(seconds + grace), "deletionGracePeriodSeconds": grace}


def condition(kind: str, status: str, reason: str = "", message: str = "", seconds: float = 10) -> dict[str, Any]:
    told = {"reason": reason, "message": message, "lastTransitionTime": at(seconds)}
    return {"conditions": [{"type": kind, "status": status, **told}]}


def waiting(reason: str, message: str = "", name: str = "pod-0") -> Object:
    return pod(name, phase="Pending", state={"waiting": {"reason": reason, "message": message}})


CREATING = {"waiting": {"reason": "ContainerCreating"}}
UNREADY = {
    "conditions": [
        {"type": "Ready", "status": "False", "lastTransitionTime": at(10)},
        {"type": "ContainersReady", "status": "True"},
    ]
}


@pytest.mark.parametrize(
    ("failed", "reason"),
    [
        (ended(137, reason="OOMKilled"), "OOMKilled"),
        (ended(1, reason="OOMKilled"), "OOMKilled"),
        (ended(137), "Killed"),
        (pod(phase="Failed", reason="Evicted", message="low on memory"), "Evicted"),
        (ended(137, **condition("DisruptionTarget", "True", "PreemptionByScheduler")), "Preempted"),
        (pod(phase="Failed", **condition("DisruptionTarget", "True", "TerminationByKubelet")), "Evicted"),
        (pod(meta=deleted(5), **condition("DisruptionTarget", "True", "DeletionByTaintManager")), "NodeLost"),
        (pod(meta=deleted(5)), "Deleted"),
        (ended(143, seconds=7, meta=deleted(5)), "Deleted"),
        (ended(137, seconds=36, meta=deleted(5)), "Deleted"),
        (pod(phase="Pending", meta=deleted(5)), "Deleted"),
        (pod(**UNREADY), "NodeLost"),
        (pod(phase="Failed", reason="UnexpectedAdmissionError"), "NodeLost"),
        (pod(phase="Failed", reason="OutOfcpu"), "OutOfcpu"),
    ],
)
def test_lost_pods(failed: Object, reason: str) -> None:
    failure = failure_of(failed)
    assert failure is not None and failure.lost and failure.reason == reason


@pytest.mark.parametrize(
    ("failed", "words"),
    [
        (ended(1), "pod pod-0: exit code 1"),
        (ended(1, seconds=10, meta=deleted(20)), "pod pod-0: exit code 1"),
        (ended(128, reason="StartError"), "pod pod-0: StartError (exit code 128)"),
        (pod(phase="Failed", reason="DeadlineExceeded", message="too long"), "pod pod-0: DeadlineExceeded: too long"),
    ],
)
def test_failures_of_the_program_itself(failed: Object, words: str) -> None:
    failure = failure_of(failed)
    assert failure is not None and not failure.lost and failure.words == words


@pytest.mark.parametrize(
    "well",
    [
        pod(),
        ended(0),
        ended(0, meta=deleted(20)),
        waiting("ContainerCreating"),
        # The scheduler intended to preempt it, and did not.
        pod(**condition("DisruptionTarget", "True", "PreemptionByScheduler")),
    ],
)
def test_healthy_pods(well: Object) -> None:
    assert failure_of(well) is None


def test_failure_of_a_container_that_prepares_the_pod() -> None:
    state = {"terminated": {"exitCode": 3, "reason": "Error", "finishedAt": at(1)}}
    failed = pod(phase="Failed", state={"waiting": {}}, initContainerStatuses=[{"name": "wait", "state": state}])
    failure = failure_of(failed)
    assert failure is not None and (failure.container, failure.exit_code) == ("wait", 3)


def first_of(*pods: Object) -> str:
    failure = first_failure(failure for one in pods if (failure := failure_of(one)))
    return failure.pod if failure else ""


def test_first_failure_is_the_cause() -> None:
    assert first_of(ended(1, 12, name="b"), ended(137, 10, "OOMKilled", name="a")) == "a"
    operator_cleans = pod("b", meta=deleted(11))
    assert first_of(operator_cleans, ended(1, 10, name="a")) == "a"
    deletion_first = pod("a", meta=deleted(9))
    assert first_of(ended(1, 12, name="b"), deletion_first) == "a"
    assert first_of(pod()) == ""


def test_a_pod_that_was_lost_and_replaced_long_ago_is_not_the_cause() -> None:
    assert first_of(pod("a", meta=deleted(10)), ended(1, 10_000, name="b")) == "b"


def fatal_after(pod: Object, seconds: float, start_seconds: float = 900.0) -> str:
    """The message of the trouble that ends the job after so many seconds; empty when none does."""
    troubles = Troubles(start_seconds)
    troubles.note([pod], NOON)
    troubles.note([pod], NOON + seconds)
    found = troubles.hopeless([pod], NOON + seconds)
    return found.words if found else ""


@pytest.mark.parametrize(
    ("pending", "seconds"),
    [
        (waiting("InvalidImageName", "couldn't parse image name"), 0),
        (waiting("ErrImagePull", "registry.test/x:1: not found"), GRACE_SECONDS),
        (waiting("ImagePullBackOff", "pull access denied"), GRACE_SECONDS),
        (waiting("CreateContainerConfigError", 'secret "s3" not found'), GRACE_SECONDS),
        (waiting("ErrImagePull", "dial tcp: i/o timeout"), 900),
        (pod(phase="Pending", **condition("PodScheduled", "False", "Unschedulable", "no room", seconds=0)), 900),
        (pod(phase="Pending", state=CREATING, **condition("PodScheduled", "True", seconds=0)), 900),
    ],
)
def test_grace_periods(pending: Object, seconds: float) -> None:
    assert seconds == 0 or fatal_after(pending, seconds - 1) == ""
    assert fatal_after(pending, seconds)


@pytest.mark.parametrize(
    "fine",
    [
        pod(),
        waiting("PodInitializing"),
        waiting("CrashLoopBackOff"),
        pod(phase="Pending", **condition("PodScheduled", "False", "SchedulingGated")),
    ],
)
def test_pods_without_a_trouble(fine: Object) -> None:
    assert fatal_after(fine, 100_000) == ""


def test_a_trouble_is_reported_once_with_all_its_details() -> None:
    troubles = Troubles(900.0)
    first, then = waiting("ErrImagePull", "x:1: not found"), waiting("ImagePullBackOff", "Back-off pulling image x:1")
    assert troubles.note([first], NOON) == ["pod pod-0: ErrImagePull: x:1: not found"]
    assert troubles.note([then], NOON + 10) == troubles.note([first], NOON + 30) == []
    found = troubles.hopeless([then], NOON + GRACE_SECONDS)
    assert found is not None and "not found" in found.words and "image" in found.remedy


def test_a_trouble_that_passes_starts_a_new_grace_period_later() -> None:
    troubles = Troubles(900.0)
    missing = waiting("CreateContainerConfigError", 'secret "s3" not found')
    troubles.note([missing], NOON)
    troubles.note([pod()], NOON + 50)
    troubles.note([missing], NOON + 55)
    assert troubles.hopeless([missing], NOON + 70) is None
