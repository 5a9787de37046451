"""Trainings over groups of unequal nodes: JobSets, whose pods have CPU limits of their own."""

from typing import Any

import pytest

from tests.cluster.access import Namespace
from tests.cluster.jobs import Start, small_job, wait_for
from tests.cluster.training import SETTINGS, TrainRun, continued_from, last_checkpoint

pytest_plugins = ["tests.cluster.job_fixtures", "tests.cluster.training_fixtures"]

FAST, SLOW = (
    {"nodes": 1, "accelerator": "CPU", "memory": "2Gi", "speed": speed, "pods": {"cpu_limit": limit}}
    for speed, limit in ((4000, "1500m"), (1000, "400m"))
)
GROUPS = {"launcher": "JobSet", "nodes": 1, "groups": [FAST | {"processes_per_node": 2}, SLOW]}
"""Three ranks, two of them on the faster node. `nodes` takes back that of the placement."""
BY_SPEED: dict[str, Any] = {"shares": "speed", **GROUPS}
STEPS = 60
REPLICATED_JOB = "jobset.sigs.k8s.io/replicatedjob-name"
SLOWER = "group-1"
LONG = "import time; print('at work', flush=True); time.sleep(40); print('work is done', flush=True)"


def groups_of(*processes: int) -> list[dict[str, Any]]:
    """Groups of one node each, with so many processes."""
    return [FAST | {"processes_per_node": count} for count in processes]


def pods_of_group(pods: list[dict[str, Any]], group: str) -> list[str]:
    """The names of the pods of a group."""
    return [pod["metadata"]["name"] for pod in pods if pod["metadata"]["labels"].get(REPLICATED_JOB) == group]


@pytest.mark.long
def test_losses_over_unequal_groups_are_those_of_equal_nodes(training: TrainRun) -> None:
    even = training.begin().start()
    assert training.run.wait(even) == "Succeeded", training.run.log(even)
    expected = training.records(even, "losses.jsonl")
    training.remove_output(even)
    training.again(**BY_SPEED)
    pod = training.start(1)
    assert training.run.wait(pod) == "Succeeded", training.run.log(pod)
    found = training.records(pod, "losses.jsonl")
    assert len(found) == len(expected) == STEPS
    for name in ("rows", "tokens", "learning_rate"):
        assert [record[name] for record in found] == [record[name] for record in expected]
    losses = [record["loss"] for record in expected]
    assert [record["loss"] for record in found] == pytest.approx(losses, rel=1e-5)
    assert training.model(pod)["ranks"] == 3
    measured = training.records(pod, "shares.jsonl")[0]
    assert measured["reason"] == "measured" and len(measured["shares"]) == 3
    (job,) = training.jobs("JobSet")
    limits = [
        group["template"]["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"]["cpu"]
        for group in job["spec"]["replicatedJobs"]
    ]
    assert limits == ["1500m", "400m"]


@pytest.mark.whole
def test_a_throttled_group_gets_the_smaller_share(training: TrainRun) -> None:
    """With nothing else at work on the machine, which would slow the faster group."""
    pod = training.begin(shares="speed", launcher="JobSet", nodes=1, groups=[FAST, SLOW]).start()
    assert training.run.wait(pod) == "Succeeded", training.run.log(pod)
    fast, slow = training.records(pod, "shares.jsonl")[-1]["shares"]
    assert fast > 1.2 * slow, "one core beside 0.4"


@pytest.mark.long
def test_a_lost_pod_of_a_group_costs_at_most_one_checkpoint_interval(training: TrainRun) -> None:
    pod = training.begin(**BY_SPEED).start_and_wait_for_checkpoint()
    training.wait_for("checkpoint at step 15", pod)
    (victim,) = pods_of_group(training.pods_of_jobs(), SLOWER)
    before = last_checkpoint(training.run.log(pod))
    training.namespace.kubectl("delete", "pod", victim, "--grace-period=0", "--force", "--wait=false")
    assert training.run.wait(pod) == "Succeeded", training.run.log(pod)
    log = training.run.log(pod)
    assert "starting again, 1 of" in log
    assert continued_from(log) >= before - 2 * SETTINGS["checkpoint_steps"], "the upload in progress and one interval"
    assert training.model(pod)["steps"] == STEPS


@pytest.mark.long
def test_a_training_continues_without_a_group_whose_nodes_are_gone(training: TrainRun) -> None:
    """No node has the group's label any more."""
    cluster, label = training.namespace.cluster, f"tutelage.dev/{training.namespace.name}"
    spare = SLOW | {"least_nodes": 0, "node_selector": {label: "spare"}}
    launch = BY_SPEED | {"groups": [FAST | {"processes_per_node": 2}, spare], "replace_seconds": 20}
    cluster.kubectl("label", "nodes", "--all", f"{label}=spare")
    try:
        pod = training.begin(**launch).start_and_wait_for_checkpoint()
        training.wait_for("checkpoint at step 15", pod)
        (victim,) = pods_of_group(training.pods_of_jobs(), SLOWER)
        cluster.kubectl("label", "nodes", "--all", f"{label}-")
        training.namespace.kubectl("delete", "pod", victim, "--grace-period=0", "--force", "--wait=false")
        assert training.run.wait(pod) == "Succeeded", training.run.log(pod)
    finally:
        cluster.kubectl("label", "nodes", "--all", f"{label}-")
    log = training.run.log(pod)
    assert "1 of 2 nodes are there after 20 s" in log and "continuing on 1 node" in log
    assert continued_from(log) >= 5 and ", without 1 lost node" in log
    counts = training.model(pod)
    assert (counts["ranks"], counts["steps"], counts["nodes_left_out"]) == (2, STEPS, 1)
    assert 0 < counts["steps_on_fewer_nodes"] < STEPS
    shares = [len(record["shares"]) for record in training.records(pod, "shares.jsonl")]
    assert shares[0] == 3 and shares[-1] == 2, "balanced again over the ranks that are left"
    (job,) = training.jobs("JobSet")
    assert [group["replicas"] for group in job["spec"]["replicatedJobs"]] == [1]


@pytest.mark.long
def test_a_cancelled_run_leaves_no_jobset(training: TrainRun) -> None:
    pod = training.begin(**BY_SPEED).start_and_wait_for_checkpoint()
    assert len(training.jobs("JobSet")) == 1 and len(training.pods_of_jobs()) == 2
    training.run.cancel()
    assert training.run.wait(pod, 60) == "Failed"
    training.wait_until_nothing_is_left("JobSet")
    services = training.namespace.cluster.get("services", namespace=training.namespace.name)["items"]
    assert services == [], "the headless service is deleted with it"


def test_ranks_are_those_of_all_groups(namespace: Namespace, start: Start) -> None:
    statement = "import os; print('rank', os.environ['RANK'], 'of', os.environ['WORLD_SIZE'], flush=True)"
    job = start(small_job(namespace, statement, launcher="JobSet", groups=groups_of(2, 1)))
    assert job.ended() == 0, job.log + job.state()
    assert {line for line in job.log.splitlines() if line.startswith("rank ")} >= {"rank 0 of 3", "rank 1 of 3"}
    assert "rank 2 of 3" not in job.log, "the log is that of node 0"


def test_a_failure_in_the_second_group_is_named(namespace: Namespace, start: Start) -> None:
    statement = (
        "import os, time; last = os.environ['RANK'] == '2'; print('FAILED on purpose' * last, flush=True); "
        "last and os._exit(7); time.sleep(120)"
    )
    job = start(small_job(namespace, statement, launcher="JobSet", groups=groups_of(2, 1)))
    assert job.ended() == 1
    error = job.log[job.log.index("FAILED job ") :]
    assert "group-1-0-0" in error and "exit code 7" in error and "FAILED on purpose" in error
    assert "starting again" not in job.log, "a program's own failure is not retried"


@pytest.mark.parametrize("group", ["group-0", "group-1"])
def test_all_groups_start_again_after_one_lost_a_pod(namespace: Namespace, start: Start, group: str) -> None:
    job = start(small_job(namespace, LONG, launcher="JobSet", groups=groups_of(1, 1)))
    job.says("at work")
    wait_for("two pods", lambda: len(job.running_pods()) == 2, 60, job.state)
    (victim,) = pods_of_group(job.pods(), group)
    namespace.kubectl("delete", "pod", victim, "--grace-period=0", "--force", "--wait=false")
    job.says("starting again, 1 of 1")
    assert job.ended() == 0, job.log + job.state()
    assert "work is done" in job.log
    assert job.resource() is not None, "it is kept for ttl_seconds"


def test_a_jobset_waits_until_a_queue_admits_it(namespace: Namespace, start: Start) -> None:
    pods = {"queue": "teams"}
    job = start(small_job(namespace, "print('released')", launcher="JobSet", groups=groups_of(1, 1), pods=pods))
    job.says("waits in the queue", 60)
    assert not job.pods()
    # As Kueue does when it admits a workload.
    namespace.kubectl("patch", job.plural, job.name, "--type=merge", "-p", '{"spec":{"suspend":false}}')
    assert job.ended() == 0, job.log + job.state()
    assert "released" in job.log


def test_a_group_without_nodes_is_reported_and_ends_the_job(namespace: Namespace, start: Start) -> None:
    nowhere = FAST | {"node_selector": {"no-such": "label"}}
    job = start(small_job(namespace, LONG, launcher="JobSet", start_seconds=20, groups=[FAST, nowhere]))
    job.says("node affinity", 60)
    assert job.ended(120) == 1
    error = job.log[job.log.index("FAILED ") :]
    assert "group-1-0-0" in error and "nodes are available" in error and "start_seconds" in error
    wait_for("the job to be gone", lambda: job.resource() is None and not job.pods(), 90, job.state)
