"""How jobs fail on a real cluster: each failure is reported as what it is, and nothing is left running."""

import time

import pytest

from tests.cluster.access import Namespace
from tests.cluster.jobs import Start, small_job, wait_for

pytest_plugins = "tests.cluster.job_fixtures"


@pytest.mark.parametrize("launcher", ["TrainJob", "PyTorchJob"])
def test_exit_code_and_last_lines_of_the_first_failed_pod(namespace: Namespace, start: Start, launcher: str) -> None:
    statement = "import os; print('before the end'); print('[train] FAILED on purpose'); os._exit(7)"
    job = start(small_job(namespace, statement, launcher=launcher))
    assert job.ended() == 1
    error = job.log[job.log.index("FAILED job ") :]
    assert "exit code 7" in error and "FAILED on purpose" in error and job.name in error
    assert "starting again" not in job.log, "a program's own failure is not retried"
    assert job.log.count("before the end") >= 1, "the job's log is in the step's"


def test_out_of_memory_is_retried_and_named(namespace: Namespace, start: Start) -> None:
    job = start(small_job(namespace, "x = bytearray(3 * 10**9)", pods={"memory": "700Mi"}))
    assert job.ended() == 1
    assert "starting again, 1 of 1" in job.log
    error = job.log[job.log.index("FAILED job ") :]
    assert "OOMKilled" in error and "launch.pods.memory" in error and "2 times" in error


def test_pod_that_fills_its_scratch_is_evicted_retried_and_named(namespace: Namespace, start: Start) -> None:
    statement = "import time; open('/tmp/large', 'wb').write(bytes(80 * 2**20)); time.sleep(300)"
    job = start(small_job(namespace, statement, pods={"scratch": "30Mi"}))
    assert job.ended() == 1
    assert "starting again, 1 of 1" in job.log
    error = job.log[job.log.index("FAILED job ") :]
    assert "Evicted" in error and "launch.pods.scratch" in error and "2 times" in error


def test_image_that_the_registry_lacks_ends_the_job_early(
    empty_registry: str, namespace: Namespace, start: Start
) -> None:
    began = time.monotonic()
    job = start(small_job(namespace, "pass", start_seconds=3600, pods={"image": f"{empty_registry}/no-such/image:1"}))
    assert job.ended() == 1
    assert time.monotonic() - began < 300, "long before start_seconds, an hour here"
    error = job.log[job.log.index("FAILED ") :]
    assert f"{empty_registry}/no-such/image:1" in error and "not found" in error
    wait_for("the job to be gone", lambda: job.resource() is None and not job.pods(), 90, job.state)


def test_registry_that_cannot_be_reached_is_reported_at_once(namespace: Namespace, start: Start) -> None:
    job = start(small_job(namespace, "pass", start_seconds=25, pods={"image": "localhost:9/no-such/image:1"}))
    job.says("connection refused", 60)
    assert job.ended(120) == 1
    error = job.log[job.log.index("FAILED ") :]
    assert "localhost:9/no-such/image:1" in error and "start_seconds" in error
    wait_for("the job to be gone", lambda: job.resource() is None and not job.pods(), 90, job.state)


def test_unschedulable_job_is_reported_at_once_with_the_schedulers_message(namespace: Namespace, start: Start) -> None:
    job = start(small_job(namespace, "pass", start_seconds=20, pods={"node_selector": {"no-such": "label"}}))
    job.says("node affinity", 60)
    assert job.ended(90) == 1
    error = job.log[job.log.index("FAILED ") :]
    assert "nodes are available" in error and "start_seconds" in error
    wait_for("the job to be gone", lambda: job.resource() is None and not job.pods(), 90, job.state)


def test_missing_secret_key_is_named(namespace: Namespace, start: Start) -> None:
    secrets = {"AWS_ACCESS_KEY_ID": {"secret": "s3", "key": "misspelt"}}
    job = start(small_job(namespace, "pass", start_seconds=3600, pods={"secrets": secrets}))
    assert job.ended() == 1
    assert "misspelt" in job.log and "CreateContainerConfigError" in job.log


def test_deadline_ends_the_job(namespace: Namespace, start: Start) -> None:
    job = start(small_job(namespace, "import time; time.sleep(600)", timeout_seconds=15))
    assert job.ended() == 1
    assert "ran longer than 15 s" in job.log and "launch.timeout_seconds" in job.log
    wait_for("the job to be gone", lambda: job.resource() is None and not job.pods(), 90, job.state)


def test_time_in_a_queue_is_not_running_time(namespace: Namespace, start: Start) -> None:
    statement = "print('released'); import time; time.sleep(1)"
    job = start(small_job(namespace, statement, timeout_seconds=60, pods={"queue": "teams"}))
    job.says("waits in the queue", 60)
    time.sleep(65)
    assert job.process.poll() is None, "longer than timeout_seconds, and still waiting"
    assert not job.pods()
    # As Kueue does when it admits a workload.
    namespace.kubectl("patch", job.plural, job.name, "--type=merge", "-p", '{"spec":{"suspend":false}}')
    assert job.ended() == 0, job.log
    assert "released" in job.log


def test_queue_has_its_own_limit(namespace: Namespace, start: Start) -> None:
    job = start(small_job(namespace, "pass", queue_seconds=10, pods={"queue": "teams"}))
    assert job.ended(120) == 1
    assert "waited in the queue for longer than 10 s" in job.log
    wait_for("the job to be gone", lambda: job.resource() is None, 60, job.state)


def test_missing_runtime_is_named(namespace: Namespace, start: Start) -> None:
    namespace.kubectl("delete", "trainingruntime", "tutelage")
    job = start(small_job(namespace, "pass"))
    assert job.ended(120) == 1
    assert "trainingruntime.yaml" in job.log and namespace.name in job.log


def test_missing_right_is_named(namespace: Namespace, start: Start) -> None:
    patch = '[{"op":"replace","path":"/rules/1/verbs","value":["get","list","watch","patch","delete"]}]'
    namespace.kubectl("patch", "role", "tutelage-steps", "--type=json", "-p", patch)
    job = start(small_job(namespace, "pass"))
    assert job.ended(120) == 1
    error = job.log[job.log.index("FAILED") :]
    assert "create trainjobs" in error and namespace.name in error and "role.yaml" in error
