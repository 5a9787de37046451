"""RayJobs on a real KubeRay: the driver's log is relayed, a lost head restarts the driver, Ray replaces a worker."""

from tests.cluster.access import Namespace
from tests.cluster.jobs import Start, ray_job, wait_for

pytest_plugins = "tests.cluster.job_fixtures"

COUNT_NODES = """
import ray

ray.init(logging_level="ERROR")
print("nodes:", len(ray.nodes()))
print("[program] FAILED on purpose", flush=True)
raise SystemExit(5)
"""
WORK = """
import time
import ray

ray.init(logging_level="ERROR")


@ray.remote(num_cpus=1, max_retries=3)
def work():
    print("task begins", flush=True)
    time.sleep(20)
    return "task is done"


print(ray.get(work.remote()), flush=True)
"""


def test_the_drivers_log_and_failure_are_relayed(namespace: Namespace, start: Start) -> None:
    job = start(ray_job(namespace, COUNT_NODES))
    assert job.ended() == 1
    assert "nodes: 2" in job.log, "a head and a worker"
    assert "FAILED on purpose" in job.log[job.log.index("FAILED job ") :]
    assert "starting again" not in job.log


def test_the_driver_restarts_after_losing_its_head(namespace: Namespace, start: Start) -> None:
    job = start(ray_job(namespace, WORK))
    job.says("task begins")
    (head,) = (name for name in job.running_pods() if "-head-" in name)
    namespace.kubectl("delete", "pod", head, "--grace-period=0", "--force", "--wait=false")
    assert job.ended() == 0, job.log
    assert job.log.count("task begins") == 2, "by Ray's own submitter on a new head, or by the launcher"
    assert "task is done" in job.log


def test_ray_replaces_a_lost_worker(namespace: Namespace, start: Start) -> None:
    job = start(ray_job(namespace, WORK))
    job.says("task begins")
    (worker,) = (name for name in job.running_pods() if "-worker-" in name)
    namespace.kubectl("delete", "pod", worker, "--grace-period=0", "--force", "--wait=false")
    wait_for("another worker", lambda: worker not in job.running_pods(), 60, job.state)
    assert job.ended() == 0, job.log
    assert "task is done" in job.log and "starting again" not in job.log
