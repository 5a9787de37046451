"""Failures of pods are told apart by their statuses, and what keeps pods from starting is named in good time."""

from typing import Any

import pytest

from components.launch.failure import failure_of, first_failure
from components.launch.kind import Object
from components.launch.moments import written
from components.launch.start_trouble import Troubles

NOON = 1_800_000_000.0
CERTAIN_SECONDS = 60


def at(seconds: float) -> str:
    return written(NOON + seconds)


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
    """Metadata of a pod whose deletion was asked for; the API tells when its grace period ends."""
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
def test_failures_of_ones_own(failed: Object, words: str) -> None:
    failure = failure_of(failed)
    assert failure is not None and not failure.lost and failure.words == words


@pytest.mark.parametrize(
    "well",
    [
        pod(),
        ended(0),
        ended(0, meta=deleted(20)),
        waiting("ContainerCreating"),
        # The scheduler wanted its place, and did not take it.
        pod(**condition("DisruptionTarget", "True", "PreemptionByScheduler")),
    ],
)
def test_pods_that_are_well(well: Object) -> None:
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


def test_pod_that_was_lost_and_replaced_long_ago_is_no_cause() -> None:
    assert first_of(pod("a", meta=deleted(10)), ended(1, 10_000, name="b")) == "b"


def borne(pod: Object, seconds: float, start_seconds: float = 900.0) -> str:
    """The words in which a pod's trouble ends the job after so many seconds; empty when it does not."""
    troubles = Troubles(start_seconds)
    troubles.look([pod], NOON)
    troubles.look([pod], NOON + seconds)
    found = troubles.hopeless([pod], NOON + seconds)
    return found.words if found else ""


@pytest.mark.parametrize(
    ("pending", "seconds"),
    [
        (waiting("InvalidImageName", "couldn't parse image name"), 0),
        (waiting("ErrImagePull", "registry.test/x:1: not found"), CERTAIN_SECONDS),
        (waiting("ImagePullBackOff", "pull access denied"), CERTAIN_SECONDS),
        (waiting("CreateContainerConfigError", 'secret "s3" not found'), CERTAIN_SECONDS),
        (waiting("ErrImagePull", "dial tcp: i/o timeout"), 900),
        (pod(phase="Pending", **condition("PodScheduled", "False", "Unschedulable", "no room", seconds=0)), 900),
        (pod(phase="Pending", state=CREATING, **condition("PodScheduled", "True", seconds=0)), 900),
    ],
)
def test_how_long_a_trouble_is_borne(pending: Object, seconds: float) -> None:
    assert seconds == 0 or borne(pending, seconds - 1) == ""
    assert borne(pending, seconds)


@pytest.mark.parametrize(
    "fine",
    [
        pod(),
        waiting("PodInitializing"),
        waiting("CrashLoopBackOff"),
        pod(phase="Pending", **condition("PodScheduled", "False", "SchedulingGated")),
    ],
)
def test_what_is_no_trouble(fine: Object) -> None:
    assert borne(fine, 100_000) == ""


def test_trouble_is_told_once_in_its_fullest_words() -> None:
    troubles = Troubles(900.0)
    first, then = waiting("ErrImagePull", "x:1: not found"), waiting("ImagePullBackOff", "Back-off pulling image x:1")
    assert troubles.look([first], NOON) == ["pod pod-0: ErrImagePull: x:1: not found"]
    assert troubles.look([then], NOON + 10) == troubles.look([first], NOON + 30) == []
    found = troubles.hopeless([then], NOON + CERTAIN_SECONDS)
    assert found is not None and "not found" in found.words and "image" in found.remedy


def test_trouble_that_passes_is_forgotten() -> None:
    troubles = Troubles(900.0)
    missing = waiting("CreateContainerConfigError", 'secret "s3" not found')
    troubles.look([missing], NOON)
    troubles.look([pod()], NOON + 50)
    troubles.look([missing], NOON + 55)
    assert troubles.hopeless([missing], NOON + 70) is None
