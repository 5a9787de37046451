"""JobSets: a training over groups of unequal nodes, and what their status means."""

import threading
from pathlib import Path
from typing import Any

import pytest

from components.launch.api.clock import timestamp_of
from components.launch.api.cluster import Cluster
from components.launch.api.resources import Object
from components.launch.fewer_nodes import NODES_VARIABLE, job_on_nodes
from components.launch.follow.annotations import annotated
from components.launch.follow.reconcile import ClusterJob
from components.launch.follow.run_on_cluster import run_to_the_end
from components.launch.job import Job
from components.launch.kinds.jobset import NODE_RANK, JobSetKind
from components.launch.kinds.kind import NAME_LENGTH, RUN_LABEL, Identity, Standing, resource_name
from tests.unit.launch.api_server import ApiServer
from tests.unit.launch.crd_schemas import assert_valid
from tests.unit.launch.jobs import ATTEMPT, FULL_PODS, LABELS, assert_restricted, train_job, variables

GROUPS = (
    {"nodes": 2, "processes_per_node": 4, "accelerator": "H100", "node_selector": {"gpu": "h100"}},
    {"nodes": 3, "accelerator": "A10", "pods": {"cpu": "8", "cpu_limit": "12", "memory": "48Gi", "tolerations": []}},
    {"nodes": 1, "accelerator": "CPU", "memory": "8G", "speed": 100.0},
)
PODS = {name: value for name, value in FULL_PODS.items() if name != "gpus"}


def groups_job(pods: dict[str, Any] | None = None, **launch: Any) -> Job:
    """A training over groups with 4, 2 and 2 processes a node."""
    job = train_job()
    given = {"launcher": "JobSet", "processes_per_node": 2, "groups": GROUPS, "pods": PODS if pods is None else pods}
    return job.model_copy(update={"launch": type(job.launch).model_validate({**given, **launch})})


def replicated(job: Job) -> list[Object]:
    found: list[Object] = JobSetKind().manifest(job, ATTEMPT)["spec"]["replicatedJobs"]
    return found


def pod_of(group: Object) -> Object:
    found: Object = group["template"]["spec"]["template"]
    return found


def container_of(group: Object) -> Object:
    (container,) = pod_of(group)["spec"]["containers"]
    found: Object = container
    return found


@pytest.mark.parametrize("queue", ["", "team-a"])
def test_the_operators_crd_accepts_it(queue: str) -> None:
    assert_valid("jobset-0.12.0", JobSetKind().manifest(groups_job({**PODS, "queue": queue}), ATTEMPT))


def test_each_group_is_a_replicated_job_with_its_own_hardware() -> None:
    large, small, plain = replicated(groups_job())
    assert [group["replicas"] for group in (large, small, plain)] == [2, 3, 1]
    specs = [pod_of(group)["spec"] for group in (large, small, plain)]
    pool = {"pool": "gpu"}
    assert [spec["nodeSelector"] for spec in specs] == [{**pool, "gpu": "h100"}, pool, pool]
    resources = [container_of(group)["resources"] for group in (large, small, plain)]
    assert [each["limits"].get("nvidia.com/gpu") for each in resources] == ["4", "2", None]
    assert resources[0]["limits"] == {"memory": "8Gi", "nvidia.com/gpu": "4"}
    assert resources[1]["requests"] == {"cpu": "8", "memory": "48Gi", "nvidia.com/gpu": "2"}
    assert resources[1]["limits"]["cpu"] == "12"
    assert "tolerations" in specs[0] and "tolerations" not in specs[1]


def test_ranks_meet_at_the_first_pod_of_the_first_group() -> None:
    job = groups_job()
    name = resource_name(job)
    found = [variables(container_of(group)) for group in replicated(job)]
    assert {each["PET_NNODES"] for each in found} == {"6"}
    assert [each["PET_NPROC_PER_NODE"] for each in found] == ["4", "2", "2"]
    assert {each["PET_MASTER_ADDR"] for each in found} == {f"{name}-group-0-0-0.{name}"}
    for each in found:
        assert each["PET_NODE_RANK"] == {"fieldRef": {"fieldPath": f"metadata.labels['{NODE_RANK}']"}}


def test_names_fit_the_63_characters_of_a_host_name() -> None:
    long = groups_job().model_copy(update={"name": f"train-{'x' * 60}-0123456789abcdef"})
    name = resource_name(long)
    assert len(name) == NAME_LENGTH and name.startswith("jobset-train-") and name.endswith("-0123456789abcdef")
    assert len(f"{name}-group-9-999-0-abcde") <= 63


def test_a_jobset_of_ours_is_not_the_one_that_a_trainjob_of_the_same_name_makes() -> None:
    assert resource_name(groups_job()) != resource_name(train_job())


def test_nothing_restarts_by_itself_and_ends_with_its_deadline() -> None:
    manifest = JobSetKind().manifest(groups_job(timeout_seconds=100, start_seconds=20, ttl_seconds=30), ATTEMPT)
    spec = manifest["spec"]
    assert spec["failurePolicy"]["maxRestarts"] == 0 and spec["ttlSecondsAfterFinished"] == 30
    for group in spec["replicatedJobs"]:
        job = group["template"]["spec"]
        assert (job["backoffLimit"], job["activeDeadlineSeconds"], job["parallelism"]) == (0, 120, 1)
        assert pod_of(group)["spec"]["restartPolicy"] == "Never"


def test_its_pods_are_found_by_their_label_and_pass_the_restricted_standard() -> None:
    job = groups_job({**PODS, "queue": "team-a", "queue_priority": "high"})
    manifest = JobSetKind().manifest(job, ATTEMPT)
    assert manifest["spec"]["suspend"] is True
    assert manifest["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "team-a"
    label, _, value = JobSetKind().pod_selector(job).partition("=")
    for group in replicated(job):
        assert pod_of(group)["metadata"]["labels"].items() >= {**LABELS, label: value}.items()
        assert pod_of(group)["metadata"]["annotations"]["tutelage.dev/attempt"] == "2"
        assert_restricted(pod_of(group)["spec"])


def test_equal_nodes_are_one_group() -> None:
    job = train_job(FULL_PODS, launcher="JobSet", processes_per_node=2)
    (group,) = replicated(job)
    assert group["replicas"] == 2 and container_of(group)["resources"]["limits"]["nvidia.com/gpu"] == "2"
    assert variables(container_of(group))["PET_NPROC_PER_NODE"] == "2"


def test_the_log_is_that_of_node_0() -> None:
    pods: list[Object] = [{"metadata": {"labels": {NODE_RANK: rank}}} for rank in ("0", "1", "10")]
    assert [JobSetKind().is_main(pod) for pod in pods] == [True, False, False]
    assert [JobSetKind().node_of(pod) for pod in pods] == [0, 1, 10], "over all groups"


def test_without_a_group_the_next_one_has_the_first_rank() -> None:
    groups = [{**group, "least_nodes": least} for group, least in zip(GROUPS, (0, 1, 0), strict=True)]
    left = job_on_nodes(groups_job(groups=groups), (3, 4))
    (group,) = replicated(left)
    assert (group["name"], group["replicas"]) == ("group-0", 2)
    found = variables(container_of(group))
    assert (found["PET_NNODES"], found["PET_NPROC_PER_NODE"]) == ("2", "2")
    assert found[NODES_VARIABLE] == "3,4" and container_of(group)["resources"]["limits"]["cpu"] == "12"


def resource(*ready: int, suspend: bool = False, **condition: str) -> Object:
    """A JobSet of two groups with two nodes and one, of which so many are ready."""
    groups = [{"name": "group-0", "replicas": 2}, {"name": "group-1", "replicas": 1}]
    jobs = [{"name": f"group-{number}", "ready": count, "succeeded": 0} for number, count in enumerate(ready)]
    conditions = [{"status": "True", **condition}] if condition else []
    return {
        "spec": {"replicatedJobs": groups, "suspend": suspend},
        "status": {"replicatedJobsStatus": jobs, "conditions": conditions},
    }


@pytest.mark.parametrize(
    ("found", "standing"),
    [
        ({"spec": {"replicatedJobs": [{"name": "group-0", "replicas": 1}]}}, Standing("starting")),
        (resource(suspend=True), Standing("queued")),
        (resource(2, 0), Standing("starting")),
        (resource(1, 1), Standing("starting")),
        (resource(2, 1), Standing("running")),
        (resource(2, 1, type="Completed", reason="AllJobsCompleted"), Standing("succeeded", "AllJobsCompleted")),
        (
            resource(1, 1, type="Failed", reason="ReachedMaxRestarts", message="first failed job: x-group-1-0"),
            Standing("failed", "ReachedMaxRestarts", "first failed job: x-group-1-0"),
        ),
        (resource(type="Failed", reason="FailJobSetFailurePolicyAction"), Standing("failed", "DeadlineExceeded")),
    ],
)
def test_standing(found: Object, standing: Standing) -> None:
    assert JobSetKind().standing(found) == standing


def test_a_group_whose_nodes_have_ended_is_not_missing() -> None:
    found = resource(0, 1)
    found["status"]["replicatedJobsStatus"][0]["succeeded"] = 2
    assert JobSetKind().standing(found) == Standing("running")


def test_a_running_jobset_over_groups_is_adopted_by_another_start_of_the_step(
    api: ApiServer, kubeconfig: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It runs on, with its pods of all groups, and its end is the step's."""
    api.served.add("jobsets")
    job = groups_job()
    made = annotated(JobSetKind().manifest(job, ATTEMPT), job, ATTEMPT)
    groups = made["spec"]["replicatedJobs"]
    ready = [{"name": group["name"], "ready": group["replicas"]} for group in groups]
    left = api.put("jobsets", {**made, "status": {"replicatedJobsStatus": ready}})
    for rank in range(sum(group["replicas"] for group in groups)):
        put_pod(api, job, rank, {"running": {"startedAt": timestamp_of(api.clock.now())}})
    api.say("node-0", "step 1")

    def succeed() -> None:
        ended = {"exitCode": 0, "finishedAt": timestamp_of(api.clock.now())}
        for rank in range(sum(group["replicas"] for group in groups)):
            put_pod(api, job, rank, {"terminated": ended}, "Succeeded")
        complete = {"type": "Completed", "status": "True", "reason": "AllJobsCompleted"}
        existing = api.get("jobsets", resource_name(job))
        assert existing is not None
        api.put("jobsets", {**existing, "status": {"replicatedJobsStatus": ready, "conditions": [complete]}})

    timer = threading.Timer(0.1, succeed)
    timer.start()
    run_to_the_end(ClusterJob(JobSetKind(), job, Cluster("team"), Identity("team", run="run-2"), api.clock))
    assert api.asked("POST", "jobsets") == 0
    there = api.get("jobsets", resource_name(job))
    assert there is not None and there["metadata"]["uid"] == left["metadata"]["uid"]
    assert there["metadata"]["labels"][RUN_LABEL] == "run-2", "it belongs to the run that adopts it"
    assert "step 1" in capsys.readouterr().err


def put_pod(api: ApiServer, job: Job, rank: int, state: Object, phase: str = "Running") -> None:
    """The pod of a node."""
    label, _, value = JobSetKind().pod_selector(job).partition("=")
    meta = {"name": f"node-{rank}", "labels": {label: value, NODE_RANK: str(rank)}}
    status = {"phase": phase, "containerStatuses": [{"name": "main", "state": state}]}
    api.put("pods", {"metadata": meta, "spec": {"containers": [{"name": "main"}]}, "status": status})
