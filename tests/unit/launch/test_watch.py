"""The observed objects are current, whatever happens to the watch."""

import threading
import time
from collections.abc import Iterator

import pytest

from components.launch.api.cluster import Selector
from components.launch.api.refusals import Forbidden
from components.launch.api.resources import PODS
from components.launch.api.watch import Watcher
from components.launch.kinds.kind import JOB_LABEL
from tests.unit.launch.plain_kind import NAME, Bench, until


@pytest.fixture
def watcher(bench: Bench) -> Iterator[Watcher]:
    bench.pod("pod-0")
    watching = Watcher(bench.cluster, PODS, Selector(f"{JOB_LABEL}={NAME}"), threading.Event(), bench.api.clock)
    until(watching.observed)
    until(lambda: bench.api.asked("GET", "watch=true"))
    yield watching
    watching.stop()


def names(watcher: Watcher) -> list[str]:
    observed = watcher.observed()
    assert observed is not None
    return sorted(one["metadata"]["name"] for one in observed.present)


def test_only_selected_objects_are_observed(bench: Bench, watcher: Watcher) -> None:
    bench.api.put("pods", {"metadata": {"name": "theirs"}})
    bench.pod("pod-1")
    until(lambda: names(watcher) == ["pod-0", "pod-1"])


@pytest.mark.parametrize("fault", ["cut", "restart", "compacted"])
def test_a_change_during_a_fault_is_observed(bench: Bench, watcher: Watcher, fault: str) -> None:
    if fault == "restart":
        bench.api.stop()
    bench.pod("pod-1")
    bench.api.drop("pods", "pod-0")
    if fault == "compacted":
        bench.api.compact()
    if fault == "restart":
        time.sleep(0.1)
        bench.api.start()
    else:
        bench.api.cut()
    until(lambda: names(watcher) == ["pod-1"])
    observed = watcher.observed()
    assert observed is not None and [one["metadata"]["name"] for one in observed.gone] == ["pod-0"]


def test_a_deleted_pod_keeps_its_last_status(bench: Bench, watcher: Watcher) -> None:
    bench.end_pod("pod-0", 137, "OOMKilled")
    bench.api.drop("pods", "pod-0")
    until(lambda: names(watcher) == [])
    observed = watcher.observed()
    assert observed is not None
    (gone,) = observed.gone
    assert gone["status"]["containerStatuses"][0]["state"]["terminated"]["reason"] == "OOMKilled"
    assert gone["metadata"]["deletionTimestamp"], "an object that is gone was deleted, reported or not"
    assert observed.without({gone["metadata"]["uid"]}).all == []


def test_objects_are_listed_again_regularly(bench: Bench, watcher: Watcher) -> None:
    lists = bench.api.asked("GET", "pods?labelSelector")
    until(lambda: bench.api.asked("GET", "pods?labelSelector") > lists + 2)


def test_losing_a_right_ends_the_watch(bench: Bench, watcher: Watcher) -> None:
    bench.api.denied.add(("watch", "pods"))
    bench.api.cut()
    with pytest.raises(Forbidden, match="may not watch pods"):
        until(lambda: watcher.observed() is None)


def test_a_server_that_has_just_restarted_without_roles_is_asked_again(bench: Bench, watcher: Watcher) -> None:
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
    until(lambda: names(watcher) == ["pod-0", "pod-1"])
