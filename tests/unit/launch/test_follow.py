"""What is followed is known as it is now, whatever befalls the watch."""

import threading
import time
from collections.abc import Iterator

import pytest

from components.launch.cluster import PODS, Selector
from components.launch.follow import Following
from components.launch.kind import JOB_LABEL
from components.launch.refusals import Forbidden
from tests.unit.launch.plain_kind import NAME, Bench, until


@pytest.fixture
def following(bench: Bench) -> Iterator[Following]:
    bench.pod("pod-0")
    followed = Following(bench.cluster, PODS, Selector(f"{JOB_LABEL}={NAME}"), threading.Event(), bench.api.clock)
    until(followed.look)
    until(lambda: bench.api.asked("GET", "watch=true"))
    yield followed
    followed.stop()


def names(followed: Following) -> list[str]:
    seen = followed.look()
    assert seen is not None
    return sorted(one["metadata"]["name"] for one in seen.present)


def test_only_what_is_selected(bench: Bench, following: Following) -> None:
    bench.api.put("pods", {"metadata": {"name": "theirs"}})
    bench.pod("pod-1")
    until(lambda: names(following) == ["pod-0", "pod-1"])


@pytest.mark.parametrize("fault", ["cut", "restart", "compacted"])
def test_change_during_a_fault_is_seen(bench: Bench, following: Following, fault: str) -> None:
    if fault == "restart":
        bench.api.stop()
    bench.pod("pod-1")
    bench.api.drop("pods", "pod-0")
    if fault == "compacted":
        bench.api.forget()
    if fault == "restart":
        time.sleep(0.1)
        bench.api.start()
    else:
        bench.api.cut()
    until(lambda: names(following) == ["pod-1"])
    seen = following.look()
    assert seen is not None and [one["metadata"]["name"] for one in seen.gone] == ["pod-0"]


def test_deleted_pod_is_remembered_with_its_last_status(bench: Bench, following: Following) -> None:
    bench.end_pod("pod-0", 137, "OOMKilled")
    bench.api.drop("pods", "pod-0")
    until(lambda: names(following) == [])
    seen = following.look()
    assert seen is not None
    (gone,) = seen.gone
    assert gone["status"]["containerStatuses"][0]["state"]["terminated"]["reason"] == "OOMKilled"
    assert gone["metadata"]["deletionTimestamp"], "who is gone was deleted, seen or not"
    assert seen.without({gone["metadata"]["uid"]}).all == []


def test_everything_is_listed_again_from_time_to_time(bench: Bench, following: Following) -> None:
    lists = bench.api.asked("GET", "pods?labelSelector")
    until(lambda: bench.api.asked("GET", "pods?labelSelector") > lists + 2)


def test_lost_right_ends_the_following(bench: Bench, following: Following) -> None:
    bench.api.denied.add(("watch", "pods"))
    bench.api.cut()
    with pytest.raises(Forbidden, match="may not watch pods"):
        until(lambda: following.look() is None)


def test_server_that_has_just_come_back_and_knows_no_roles_yet_is_asked_again(
    bench: Bench, following: Following
) -> None:
    bench.api.status = 503
    bench.api.cut()
    silent = bench.api.asked("GET", "pods?labelSelector")
    until(lambda: bench.api.asked("GET", "pods?labelSelector") > silent + 1)
    bench.api.denied |= {("list", "pods"), ("watch", "pods")}
    bench.api.status = 0
    denied = bench.api.asked("GET", "pods?labelSelector")
    until(lambda: bench.api.asked("GET", "pods?labelSelector") > denied + 1)
    bench.api.denied.clear()
    bench.pod("pod-1")
    until(lambda: names(following) == ["pod-0", "pod-1"])
