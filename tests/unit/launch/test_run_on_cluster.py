"""A job on a cluster runs to its end exactly once, whatever happens to its pods, the step or the API server."""

import os
import re
import signal
import threading
import time
from pathlib import Path

import pytest

from components.launch.api import connect, silence
from components.launch.api.clock import timestamp_of
from components.launch.follow import reconcile
from components.launch.follow.annotations import ACKNOWLEDGED_ANNOTATION, annotation, attempt_of
from components.launch.kinds.kind import Identity
from components.shared.errors import JobError
from components.shared.process.signals import sigterm_raises
from tests.unit.launch.plain_kind import NAME, PLURAL, Bench, until

Capture = pytest.CaptureFixture[str]


def in_a_pod(bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, **meta: object) -> None:
    """Make this process a step in the pod `step`."""
    (tmp_path / "namespace").write_text("team")
    monkeypatch.setattr(connect, "SERVICE_ACCOUNT", tmp_path)
    monkeypatch.setenv("KFP_POD_NAME", "step")
    bench.api.put("pods", {"metadata": {"name": "step", "labels": {"pipeline/runid": "run-1"}, **meta}, "status": {}})


def test_log_is_passed_on_and_the_resource_stays(bench: Bench, capsys: Capture) -> None:
    bench.operator(bench.succeed)
    bench.run()
    assert "step 1\nstep 2\n" in capsys.readouterr().err
    resource = bench.resource()
    assert resource is not None and resource["metadata"]["annotations"]["tutelage.dev/ttl-seconds"] == "86400"
    assert resource["metadata"]["labels"]["tutelage.dev/run"] == "run-1"


def test_running_job_is_adopted(bench: Bench, capsys: Capture) -> None:
    bench.left("running")
    threading.Timer(0.1, bench.succeed).start()
    bench.run()
    assert bench.api.asked("POST", PLURAL) == 0
    assert "step 1\nstep 2\n" in capsys.readouterr().err


def test_two_starts_at_once_make_one_job(bench: Bench) -> None:
    # It runs until all have found it: a start after its end is acknowledged would trigger a re-run.
    bench.operator(lambda: threading.Timer(2.0, bench.succeed).start())
    starts = [threading.Thread(target=bench.run) for _ in range(4)]
    for start in starts:
        start.start()
    for start in starts:
        start.join(20)
    assert not any(start.is_alive() for start in starts)
    assert sum(1 for one in bench.api.history if one[1:3] == (PLURAL, "ADDED")) == 1


def test_a_success_not_yet_acknowledged_is_a_success_at_once(bench: Bench) -> None:
    bench.left("succeeded")
    bench.run()
    assert bench.api.asked("POST", PLURAL) == 0
    bench.operator(bench.succeed)
    bench.run()
    assert bench.api.asked("POST", PLURAL) == 1, "a step that asks for the job again triggers a re-run"


def test_a_run_after_a_failure_starts_a_new_job(bench: Bench) -> None:
    def fail() -> None:
        bench.pod("pod-0")
        bench.end_pod("pod-0", 1)
        bench.state("failed")

    bench.operator(fail, bench.succeed)
    with pytest.raises(JobError, match="exit code 1"):
        bench.run()
    resource = bench.resource()
    assert resource is not None and annotation(resource, ACKNOWLEDGED_ANNOTATION), "it stays for inspection"
    bench.run()
    assert bench.api.asked("POST", PLURAL) == 2


def test_a_failure_not_yet_acknowledged_is_handled(bench: Bench) -> None:
    """No step was running when the job's pod was lost: the next one restarts the job, within its limit."""
    bench.left("failed", attempt=1)
    bench.pod("pod-0")
    bench.lose_pod("pod-0")
    bench.operator(bench.succeed)
    bench.run(restarts=2)
    resource = bench.resource()
    assert resource is not None and attempt_of(resource) == 2


def test_failure_names_the_pod_that_failed_first(bench: Bench) -> None:
    def fail() -> None:
        bench.pod("pod-0")
        bench.pod("pod-1")
        bench.state("running")
        bench.api.say("pod-0", "[train-sft] FAILED lost the connection to another process")
        bench.api.say("pod-1", "noise", "[train-sft] FAILED no such file: data.json", "  remedy: give it")
        bench.end_pod("pod-1", 2)
        time.sleep(0.05)
        bench.end_pod("pod-0", 1)
        bench.state("failed", reason="JobFailed", message="a job failed")

    bench.operator(fail)
    with pytest.raises(JobError) as caught:
        bench.run()
    assert "pod pod-1: exit code 2" in caught.value.problem
    assert caught.value.problem.endswith("FAILED no such file: data.json\n      remedy: give it")
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("code", "reason", "temporary"),
    [
        (75, "", True),
        (1, "", False),
        (2, "", False),
        (137, "Evicted", True),
        (137, "", True),
        (137, "OOMKilled", False),
    ],
)
def test_temporary_failures_are_distinguished(bench: Bench, code: int, reason: str, temporary: bool) -> None:
    def fail() -> None:
        bench.pod("pod-0")
        end = {"exitCode": code, "reason": reason, "finishedAt": timestamp_of(bench.api.clock.now())}
        bench.pod("pod-0", "Failed", {"terminated": end}, **({"reason": reason} if reason == "Evicted" else {}))
        bench.state("failed")

    bench.operator(fail)
    with pytest.raises(JobError) as caught:
        bench.run(restarts=0)
    assert caught.value.temporary is temporary, caught.value.problem


def test_the_operators_message_is_used_where_no_pod_shows_a_failure(bench: Bench) -> None:
    bench.operator(lambda: bench.state("failed", reason="ValidationFailed", message="the image has no ray"))
    with pytest.raises(JobError, match="ValidationFailed: the image has no ray"):
        bench.run()


def test_image_that_cannot_be_pulled_is_named_early(bench: Bench, capsys: Capture) -> None:
    words = "rpc error: registry.test/none:1: not found"

    def pend() -> None:
        """As the kubelet does: pull, back off, pull, …"""
        while bench.resource():
            bench.pod("pod-0", "Pending", {"waiting": {"reason": "ErrImagePull", "message": words}})
            time.sleep(0.1)
            bench.pod("pod-0", "Pending", {"waiting": {"reason": "ImagePullBackOff", "message": "Back-off"}})
            time.sleep(0.1)

    bench.operator(pend)
    began = bench.api.clock.now()
    with pytest.raises(JobError, match=words) as caught:
        bench.run(start_seconds=900.0)
    assert bench.api.clock.now() - began < 600 and "image" in caught.value.remedy
    assert bench.resource() is None, "a job that can never start is deleted"
    assert words in capsys.readouterr().err


def test_lack_of_capacity_is_reported_at_once_and_fails_after_start_seconds(bench: Bench, capsys: Capture) -> None:
    words = "0/1 nodes are available: 1 Insufficient nvidia.com/gpu."
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": words}
    bench.operator(lambda: bench.pod("pod-0", "Pending", {"waiting": {}}, conditions=[condition]) and None)
    with pytest.raises(JobError, match=r"Insufficient nvidia\.com/gpu"):
        bench.run(start_seconds=60.0)
    assert words in capsys.readouterr().err and bench.resource() is None


@pytest.mark.parametrize(
    ("refused", "remedy"),
    [
        ("exceeded quota: gpus", "raise the quota gpus"),
        ('error looking up service account team/t: serviceaccount "t" not found', "create -n .* serviceaccount t"),
    ],
)
def test_a_refusal_of_the_pods_is_reported_with_its_own_remedy(bench: Bench, refused: str, remedy: str) -> None:
    event = {"involvedObject": {"kind": "Job", "name": f"{NAME}-node-0"}, "type": "Warning", "reason": "FailedCreate"}
    meta = {"name": "event-1"}
    bench.operator(lambda: bench.api.put("events", {"metadata": meta, **event, "message": refused}) and None)
    with pytest.raises(JobError, match=rf"did not start within 60 s: Job .*: FailedCreate: {refused}") as failed:
        bench.run(start_seconds=60.0)
    assert re.search(remedy, failed.value.remedy)


def test_queue_does_not_count_as_running(bench: Bench, capsys: Capture) -> None:
    def wait() -> None:
        bench.state("queued")
        time.sleep(0.6)
        bench.succeed()

    bench.operator(wait)
    bench.run(timeout_seconds=30.0, queue_seconds=3600.0)
    assert "waits in the queue" in capsys.readouterr().err


def test_a_pod_that_a_queue_evicts_is_not_a_loss_after_the_next_admission(bench: Bench) -> None:
    """It may still be terminating when the queue admits the job again."""

    def requeue() -> None:
        bench.pod("pod-0")
        bench.state("running")
        until(lambda: bench.api.asked("GET", "watch"))
        bench.state("queued")
        terminating = bench.api.get("pods", "pod-0")
        assert terminating is not None
        terminating["metadata"]["deletionTimestamp"] = timestamp_of(bench.api.clock.now() + 30)
        bench.api.put("pods", terminating)
        time.sleep(0.1)
        bench.pod("again-0")
        bench.state("running")
        time.sleep(0.1)
        bench.api.drop("pods", "pod-0")
        time.sleep(0.5)
        bench.end_pod("again-0", 0)
        bench.state("succeeded")

    bench.operator(requeue)
    bench.run(restarts=1, timeout_seconds=300.0)
    resource = bench.resource()
    assert resource is not None and attempt_of(resource) == 0


@pytest.mark.parametrize(
    ("state", "limit", "words"),
    [
        ("queued", "queue_seconds", "waited in the queue for longer than 30 s"),
        ("running", "timeout_seconds", "ran longer than 30 s"),
    ],
)
def test_time_limits_end_the_job(bench: Bench, state: str, limit: str, words: str) -> None:
    bench.operator(lambda: bench.state(state))
    with pytest.raises(JobError, match=words) as caught:
        bench.run(**{limit: 30.0})
    assert f"launch.{limit}" in caught.value.remedy and bench.resource() is None


def test_time_in_the_queue_counts_for_a_step_that_comes_later(bench: Bench) -> None:
    bench.left("queued", creationTimestamp="2020-01-01T00:00:00Z")
    with pytest.raises(JobError, match="waited in the queue"):
        bench.run()


def test_resource_that_is_being_deleted_is_waited_for(bench: Bench) -> None:
    bench.left("running", deletionTimestamp="2026-01-01T00:00:00Z")
    bench.operator(bench.succeed)
    threading.Timer(0.2, lambda: bench.api.drop(PLURAL, NAME)).start()
    bench.run()
    assert bench.api.asked("POST", PLURAL) == 1


def test_a_resource_that_keeps_terminating_names_its_finalizers(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reconcile, "GONE_SECONDS", 30.0)
    bench.left("running", deletionTimestamp="2026-01-01T00:00:00Z", finalizers=["ray.io/f"])
    with pytest.raises(JobError, match=r"has been terminating for \d+ s \(finalizers: ray.io/f\)"):
        bench.run()


def test_a_job_that_somebody_deletes_is_an_error(bench: Bench) -> None:
    bench.operator(lambda: bench.api.drop(PLURAL, NAME))
    with pytest.raises(JobError, match="deleted by somebody else before it ended"):
        bench.run()


def test_job_of_the_same_name_for_another_store_is_left_alone(bench: Bench) -> None:
    theirs = {"metadata": {"name": NAME, "annotations": {"tutelage.dev/program": "another"}}}
    bench.api.put(PLURAL, {**theirs, "status": {"state": "running"}})
    with pytest.raises(JobError, match="runs for another store"):
        bench.run()
    assert bench.resource() is not None
    bench.state("failed")
    bench.operator(bench.succeed)
    bench.run()


def test_adopted_job_belongs_to_the_run_that_adopts_it(bench: Bench) -> None:
    bench.left("running")
    owner = {"apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow", "name": "w", "uid": "2"}
    bench.identity = Identity("team", run="run-2", owner=owner)
    threading.Timer(0.1, bench.succeed).start()
    bench.run()
    resource = bench.resource()
    assert resource is not None and resource["metadata"]["labels"]["tutelage.dev/run"] == "run-2"
    assert resource["metadata"]["ownerReferences"] == [owner]


def test_an_api_server_that_is_down_for_a_while(bench: Bench, capsys: Capture) -> None:
    def restart() -> None:
        bench.pod("pod-0")
        bench.state("running")
        bench.api.say("pod-0", "step 1")
        time.sleep(0.2)
        bench.api.stop()
        time.sleep(0.3)
        bench.api.say("pod-0", "step 2")
        bench.end_pod("pod-0", 0)
        bench.state("succeeded")
        bench.api.start()

    bench.operator(restart)
    bench.run()
    log = capsys.readouterr().err
    assert log.count("step 1\n") == 1 and log.count("step 2\n") == 1 and "does not answer, trying again" in log


@pytest.mark.parametrize("status", [500, 503, 429, -1])
def test_an_api_server_that_answers_errors_for_a_while(bench: Bench, status: int) -> None:
    bench.api.status = status
    threading.Timer(0.2, lambda: setattr(bench.api, "status", 0)).start()
    bench.operator(bench.succeed)
    bench.run()


def test_an_api_server_that_stays_down_is_an_error(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(silence, "SILENCE_SECONDS", 30.0)
    bench.api.stop()
    with pytest.raises(JobError, match="has not answered for 30 s") as caught:
        bench.run()
    assert "run again" in caught.value.remedy
    bench.api.start()


def test_rotated_token_is_read_again(bench: Bench, token_file: Path) -> None:
    def rotate() -> None:
        bench.api.token = "second"
        bench.api.cut()
        time.sleep(0.2)
        token_file.write_text("second")
        bench.succeed()

    bench.api.token = "first"
    bench.operator(rotate)
    bench.run()


@pytest.mark.parametrize(
    ("verb", "resource"),
    [("create", PLURAL), ("watch", "pods"), ("list", "pods"), ("get", "pods/log"), ("delete", PLURAL)],
)
def test_missing_right_is_named(bench: Bench, verb: str, resource: str) -> None:
    def lose() -> None:
        bench.pod("pod-0")
        bench.lose_pod("pod-0")
        bench.state("failed")

    bench.operator(lose)
    bench.api.denied.add((verb, resource))
    with pytest.raises(JobError, match=f"team/pipeline-runner may not {verb} {resource} .*in namespace team") as caught:
        bench.run()
    assert "k8s/base/role.yaml" in caught.value.remedy


def test_quota_on_the_resource_itself(bench: Bench) -> None:
    bench.api.refused["create"] = (403, 'plainjobs "x" is forbidden: exceeded quota: jobs')
    with pytest.raises(JobError, match=r"refuses to create plainjobs .*exceeded quota: jobs"):
        bench.run()


def test_kind_that_is_not_served_names_the_operator(bench: Bench) -> None:
    bench.api.served.remove(PLURAL)
    with pytest.raises(JobError, match="does not serve PlainJob") as caught:
        bench.run()
    assert "install" in caught.value.remedy


def run_until_sigterm(bench: Bench) -> None:
    """Run as a step's main thread does, and get a SIGTERM while the job runs."""

    def terminate() -> None:
        bench.pod("pod-0")
        bench.state("running")
        time.sleep(0.1)
        os.kill(os.getpid(), signal.SIGTERM)

    bench.operator(terminate)
    with pytest.raises(KeyboardInterrupt), sigterm_raises():
        bench.run()


def test_cancelled_run_deletes_its_job(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    in_a_pod(bench, tmp_path, monkeypatch)
    run_until_sigterm(bench)
    assert bench.resource() is None
    assert capsys.readouterr().err.strip().endswith("cancelled, the job is deleted")


def test_evicted_step_leaves_its_job_to_the_next_pod(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_a_pod(bench, tmp_path, monkeypatch, deletionTimestamp="2026-01-01T00:00:00Z")
    run_until_sigterm(bench)
    assert bench.resource() is not None
    threading.Timer(0.1, bench.succeed).start()
    bench.run()
    assert bench.api.asked("POST", PLURAL) == 1


def test_an_interrupted_step_outside_of_a_cluster_deletes_its_job(bench: Bench) -> None:
    run_until_sigterm(bench)
    assert bench.resource() is None


def test_an_unexpected_error_leaves_the_job_to_a_retry_in_a_pipeline_only(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def break_down() -> None:
        bench.api.put("pods", {"metadata": {"name": "pod-0", "labels": {"tutelage.dev/job": NAME}}, "status": 1})

    bench.operator(break_down)
    with pytest.raises(AttributeError):
        bench.run()
    assert bench.resource() is None
    in_a_pod(bench, tmp_path, monkeypatch)
    bench.api.drop("pods", "pod-0")
    with pytest.raises(AttributeError):
        bench.run()
    assert bench.resource() is not None


def test_a_resource_with_pods_on_a_lost_node_is_replaced(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reconcile, "PODS_GONE_SECONDS", 20.0)

    def lose_node() -> None:
        bench.pod("pod-0")
        unready = {"type": "Ready", "status": "False", "lastTransitionTime": "2026-01-01T00:00:00Z"}
        bench.pod("pod-0", conditions=[unready, {"type": "ContainersReady", "status": "True"}])
        bench.state("failed")

    bench.api.stuck = True
    bench.operator(lose_node, bench.succeed)
    bench.run(restarts=1)
    resource = bench.resource()
    assert resource is not None and attempt_of(resource) == 1


def test_a_resource_that_its_operator_keeps_alive_is_replaced_once_its_pods_are_gone(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While a TrainJob is being deleted, Kubeflow Trainer recreates its JobSet without end."""
    monkeypatch.setattr(reconcile, "PODS_GONE_SECONDS", float("inf"))

    def fail() -> None:
        bench.pod("pod-0")
        bench.end_pod("pod-0", 137, "OOMKilled")
        bench.state("failed")

    def let_pods_go() -> None:
        until(lambda: (resource := bench.resource()) is not None and "deletionTimestamp" in resource["metadata"])
        bench.api.drop("pods", "pod-0")

    bench.api.stuck = True
    threading.Thread(target=let_pods_go, daemon=True).start()
    bench.operator(fail, bench.succeed)
    bench.run(restarts=1)
    resource = bench.resource()
    assert resource is not None and attempt_of(resource) == 1
