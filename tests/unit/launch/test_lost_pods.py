"""A job whose pods are lost is restarted, up to its limit; one whose pods may come back is not."""

import threading
import time

import pytest

from components.launch.follow.annotations import attempt_of
from components.shared.errors import JobError
from tests.unit.launch.plain_kind import PLURAL, Bench, until

Capture = pytest.CaptureFixture[str]


def lose_one_of_two(bench: Bench) -> None:
    """Two pods run, and one is deleted."""
    bench.pod("pod-0")
    bench.pod("pod-1")
    bench.state("running")
    until(lambda: bench.api.asked("GET", "watch"))
    time.sleep(0.1)
    bench.api.drop("pods", "pod-1")


@pytest.mark.parametrize("reason", ["OOMKilled", "Error"])
def test_lost_pod_starts_the_job_again(bench: Bench, capsys: Capture, reason: str) -> None:
    def lose() -> None:
        bench.pod("pod-0")
        bench.state("running")
        bench.api.say("pod-0", "attempt one")
        bench.lose_pod("pod-0", reason)
        bench.state("failed")

    bench.operator(lose, lose, bench.succeed)
    bench.run(restarts=2)
    there = bench.resource()
    said = capsys.readouterr().err
    assert there is not None and attempt_of(there) == 2
    assert "starting again, 1 of 2" in said and "starting again, 2 of 2" in said and "step 2" in said
    assert {"OOMKilled": "OOMKilled (exit code 137)", "Error": "Killed (exit code 137)"}[reason] in said
    deleted = [one[3]["spec"] for one in bench.api.history if one[1:3] == (PLURAL, "DELETED")]
    assert [spec.get("paused") for spec in deleted] == [True, True], "its operator creates no pods while it terminates"


def test_pods_that_are_lost_too_often_fail_the_job(bench: Bench) -> None:
    def lose() -> None:
        bench.pod("pod-0")
        bench.lose_pod("pod-0")
        bench.state("failed")

    bench.operator(lose)
    with pytest.raises(JobError, match=r"OOMKilled[\s\S]*lost 2 times") as caught:
        bench.run(restarts=1)
    assert "memory" in caught.value.remedy


def test_a_deleted_pod_counts_as_lost_after_it_is_gone(bench: Bench) -> None:
    def delete() -> None:
        lose_one_of_two(bench)
        time.sleep(0.05)
        bench.end_pod("pod-0", 1)
        bench.state("failed")

    bench.operator(delete, bench.succeed)
    bench.run(restarts=1)
    assert bench.api.asked("POST", PLURAL) == 2


def test_lost_rank_breaks_a_job_that_its_operator_keeps_running(bench: Bench, capsys: Capture) -> None:
    """training-operator recreates a deleted pod; the remaining ranks would wait for the lost one."""

    def replace() -> None:
        lose_one_of_two(bench)
        bench.pod("pod-1")

    bench.operator(replace, bench.succeed)
    bench.run(restarts=1)
    assert "pod pod-1: Deleted; starting again, 1 of 1" in capsys.readouterr().err


def test_a_node_that_does_not_report_does_not_break_a_job(bench: Bench) -> None:
    silent = [{"type": "Ready", "status": "False"}, {"type": "ContainersReady", "status": "True"}]

    def be_silent() -> None:
        bench.pod("pod-0", conditions=silent)
        bench.state("running")
        threading.Thread(target=speak_after, args=(60.0,)).start()

    def speak_after(seconds: float) -> None:
        began = bench.api.clock.now()
        until(lambda: bench.api.clock.now() - began > seconds)
        bench.succeed()

    bench.operator(be_silent)
    bench.run(restarts=1)
    there = bench.resource()
    assert there is not None and attempt_of(there) == 0
