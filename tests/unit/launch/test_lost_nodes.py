"""A job that has lost nodes which are not replaced continues on those that are there, if its settings allow it."""

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from components.launch.api.clock import timestamp_of
from components.launch.fewer_nodes import NODES_VARIABLE
from components.launch.follow.annotations import attempt_of, nodes_of
from components.shared.errors import JobError
from tests.unit.launch.plain_kind import PLURAL, Bench, until

Capture = pytest.CaptureFixture[str]
THREE: dict[str, Any] = {"launcher": "TrainJob", "nodes": 3, "least_nodes": 1, "replace_seconds": 100.0}
NO_NODE = "0/2 nodes are available"


def lose(bench: Bench) -> Callable[[], None]:
    """Three pods run, and one is lost."""

    def life() -> None:
        for number in range(3):
            bench.placed_pod(f"pod-{number}")
        bench.state("running")
        bench.lose_pod("pod-1", "")
        bench.state("failed")

    return life


def wait_without(bench: Bench, *missing: int) -> Callable[[], None]:
    """Three pods, some of which have no node."""

    def life() -> None:
        for number in range(3):
            if number in missing:
                bench.waiting_pod(f"pod-{number}", NO_NODE)
            else:
                bench.placed_pod(f"pod-{number}")
        bench.state("starting")

    return life


def created(bench: Bench) -> list[Any]:
    """The specs of all resources, in order."""
    return [one[3]["spec"] for one in bench.api.history if one[1:3] == (PLURAL, "ADDED")]


def test_it_continues_on_the_nodes_that_are_there(bench: Bench, capsys: Capture) -> None:
    bench.operator(lose(bench), wait_without(bench, 1), bench.succeed)
    bench.run(**THREE, speeds=[1, 2, 3], restarts=1)
    assert [spec["nodes"] for spec in created(bench)] == [3, 3, 2]
    last = created(bench)[-1]
    assert last["environment"][NODES_VARIABLE] == "0,2" and last["speeds"] == [1, 3]
    there = bench.resource()
    assert there is not None and attempt_of(there) == 1, "it belongs to the restart that lacked a node"
    said = capsys.readouterr().err
    assert "starting again, 1 of 1" in said
    assert f"2 of 3 nodes are there after 100 s (pod pod-1: Unschedulable: {NO_NODE}); continuing on 2 nodes" in said


def test_it_waits_for_all_nodes_unless_the_settings_allow_fewer(bench: Bench) -> None:
    bench.operator(lose(bench), wait_without(bench, 1))
    with pytest.raises(JobError, match=NO_NODE):
        bench.run(launcher="TrainJob", nodes=3, start_seconds=150.0)
    assert [spec["nodes"] for spec in created(bench)] == [3, 3]


def test_a_first_start_waits_for_all_nodes(bench: Bench) -> None:
    bench.operator(wait_without(bench, 1))
    with pytest.raises(JobError, match=NO_NODE):
        bench.run(**THREE, start_seconds=150.0)
    assert [spec["nodes"] for spec in created(bench)] == [3]


def test_too_few_nodes_are_waited_for(bench: Bench, capsys: Capture) -> None:
    bench.operator(lose(bench), wait_without(bench, 0, 1))
    with pytest.raises(JobError, match=NO_NODE):
        bench.run(**THREE | {"least_nodes": 2}, start_seconds=150.0)
    said = capsys.readouterr().err
    assert said.count("too few to continue (launch.least_nodes)") == 1 and "1 of 3 nodes are there" in said


def test_a_node_that_is_replaced_in_time_is_used(bench: Bench) -> None:
    def replace() -> None:
        wait_without(bench, 1)()
        time.sleep(0.2)
        bench.placed_pod("pod-1")
        time.sleep(3.5)
        bench.succeed()

    bench.operator(lose(bench), replace)
    bench.run(**THREE | {"replace_seconds": 300.0})
    assert [spec["nodes"] for spec in created(bench)] == [3, 3]


def test_a_pod_that_is_never_created_counts_as_missing(bench: Bench) -> None:
    """A quota, or a pod of its name on a lost node, keeps the operator from creating it."""

    def create_two() -> None:
        bench.placed_pod("pod-0")
        bench.placed_pod("pod-2")
        bench.state("running")

    bench.operator(lose(bench), create_two, bench.succeed)
    bench.run(**THREE)
    assert created(bench)[-1]["environment"][NODES_VARIABLE] == "0,2"


def test_a_loss_on_fewer_nodes_starts_with_all_again(bench: Bench) -> None:
    """The nodes may be back by then."""
    bench.operator(lose(bench), wait_without(bench, 2), lose(bench), bench.succeed)
    bench.run(**THREE)
    assert [spec["nodes"] for spec in created(bench)] == [3, 3, 2, 3]
    there = bench.resource()
    assert there is not None and attempt_of(there) == 2


def test_nodes_that_are_missing_in_turn_leave_ever_fewer(bench: Bench) -> None:
    def wait_for_second() -> None:
        bench.placed_pod("pod-0")
        bench.waiting_pod("pod-1", NO_NODE)

    bench.operator(lose(bench), wait_without(bench, 0), wait_for_second, bench.succeed)
    bench.run(**THREE)
    assert created(bench)[-1]["environment"][NODES_VARIABLE] == "1", "of nodes 1 and 2 the first is left"


def test_time_in_the_queue_is_no_time_without_nodes(bench: Bench) -> None:
    def queue() -> None:
        bench.state("queued")
        time.sleep(3.5)
        bench.succeed()

    bench.operator(lose(bench), queue)
    bench.run(**THREE | {"replace_seconds": 300.0})
    assert [spec["nodes"] for spec in created(bench)] == [3, 3]


def test_a_later_step_continues_with_the_nodes_of_the_job_it_finds(bench: Bench) -> None:
    bench.operator(lose(bench), wait_without(bench, 1), lambda: bench.state("running"))
    first = threading.Thread(target=bench.run, kwargs=THREE, daemon=True)
    first.start()
    until(lambda: len(created(bench)) == 3)
    threading.Timer(0.3, bench.succeed).start()
    bench.run(**THREE)
    first.join(20)
    there = bench.resource()
    assert not first.is_alive() and there is not None and nodes_of(there) == (0, 2)
    assert len(created(bench)) == 3


def test_a_later_step_continues_to_count_how_long_a_node_is_missing(bench: Bench) -> None:
    left = bench.left("starting", attempt=1)
    left["metadata"]["annotations"]["tutelage.dev/nodes"] = "0,1,2"
    bench.api.put(PLURAL, left)
    wait_without(bench, 1)()
    waiting = bench.api.get("pods", "pod-1")
    assert waiting is not None
    began = bench.api.clock.now()
    waiting["status"]["conditions"][0]["lastTransitionTime"] = timestamp_of(began - 600)
    bench.api.put("pods", waiting)
    bench.operator(bench.succeed)
    bench.run(**THREE | {"replace_seconds": 600.0})
    assert bench.api.clock.now() - began < 500
    assert [spec["nodes"] for spec in created(bench)][-1] == 2


def test_a_job_that_other_settings_started_is_left_as_it_is(bench: Bench) -> None:
    """It runs on the nodes that it was created with, more or fewer than the settings have now."""
    bench.left("running", attempt=1)
    for number in range(2):
        bench.placed_pod(f"pod-{number}")
    threading.Timer(3.0, bench.succeed).start()
    bench.run(**THREE)
    assert bench.api.asked("POST", PLURAL) == 0
