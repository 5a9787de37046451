"""The leftovers of a run are deleted, and nothing else."""

from pathlib import Path
from typing import Any

import pytest

from components.clean_up.component import clean_up
from components.launch.api import connect
from components.launch.api.clock import timestamp_of
from components.launch.api.cluster import Cluster
from components.launch.follow.annotations import TTL_ANNOTATION
from components.launch.follow.clean_up import delete_unfinished
from components.launch.kinds.kind import MANAGED_BY, RUN_LABEL
from components.shared.errors import JobError
from tests.unit.launch.api_server import GROUPS, ApiServer, FastClock

RUNNING = {"jobDeploymentStatus": "Running", "jobStatus": "RUNNING"}
COMPLETE = {"type": "Complete", "status": "True"}
JOBS = ("rayjobs", "trainjobs", "pytorchjobs")


@pytest.fixture(autouse=True)
def step(api: ApiServer, kubeconfig: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """This process is a step of run-1."""
    (tmp_path / "namespace").write_text("team")
    monkeypatch.setattr(connect, "SERVICE_ACCOUNT", tmp_path)
    monkeypatch.setenv("KFP_POD_NAME", "step")
    api.put("pods", {"metadata": {"name": "step", "labels": {"pipeline/runid": "run-1"}}})


def left(
    api: ApiServer, plural: str, name: str, status: dict[str, Any], *, run: str = "run-1", ttl: str = "", **more: Any
) -> None:
    """A job of ours; `more` has its spec and its owners, if any."""
    meta: dict[str, Any] = {
        "name": name,
        "labels": {**MANAGED_BY, RUN_LABEL: run},
        "annotations": {TTL_ANNOTATION: ttl},
    }
    meta["ownerReferences"] = more.get("owners", [])
    api.put(plural, {"metadata": meta, "spec": more.get("spec", {}), "status": status})


def names(api: ApiServer) -> set[str]:
    return {one["metadata"]["name"] for plural in JOBS for one in api.all(plural)}


def test_unfinished_jobs_of_the_run_are_deleted(api: ApiServer) -> None:
    left(api, "rayjobs", "synthesize-1", RUNNING)
    left(api, "trainjobs", "train-1", {})
    left(api, "trainjobs", "train-of-another-run", {}, run="run-2")
    left(api, "trainjobs", "train-that-ended", {"conditions": [COMPLETE]})
    api.put("trainjobs", {"metadata": {"name": "of-somebody-else", "labels": {RUN_LABEL: "run-1"}}, "spec": {}})
    assert clean_up.python_func() == 2
    assert names(api) == {"train-of-another-run", "train-that-ended", "of-somebody-else"}


def test_a_trainjob_is_suspended_before_it_is_deleted(api: ApiServer) -> None:
    """Otherwise Kubeflow Trainer recreates its pods while it is being deleted, again and again."""
    left(api, "trainjobs", "train-1", {})
    uid = api.all("trainjobs")[0]["metadata"]["uid"]
    assert clean_up.python_func() == 1
    suspended = [thing for _, plural, kind, thing in api.history if (plural, kind) == ("trainjobs", "MODIFIED")]
    assert [(one["metadata"]["uid"], one["spec"]["suspend"]) for one in suspended[:1]] == [(uid, True)]


def test_a_jobset_is_deleted_unless_a_trainjob_controls_it(api: ApiServer) -> None:
    """A TrainJob's JobSet has the run's label too; it is deleted with the TrainJob."""
    api.served |= {"jobsets"}
    owner = {"apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow", "name": "run", "uid": "1"}
    left(api, "jobsets", "jobset-train-1", {"conditions": []}, owners=[owner], spec={"replicatedJobs": []})
    trainjob = {**owner, "kind": "TrainJob", "controller": True}
    left(api, "jobsets", "train-2", {"conditions": []}, owners=[trainjob], spec={"replicatedJobs": []})
    assert clean_up.python_func() == 1
    assert {one["metadata"]["name"] for one in api.all("jobsets")} == {"train-2"}


def test_expired_jobs_are_deleted(api: ApiServer) -> None:
    ended = api.clock.now() - 7200
    told = {**COMPLETE, "lastTransitionTime": timestamp_of(ended)}
    left(api, "trainjobs", "kept-too-long", {"conditions": [told]}, run="run-2", ttl="3600")
    left(api, "trainjobs", "kept", {"conditions": [told]}, ttl="86400")
    ray = {"jobDeploymentStatus": "Complete", "jobStatus": "SUCCEEDED", "endTime": timestamp_of(ended)}
    left(api, "rayjobs", "ray-kept-too-long", ray, ttl="3600")
    assert clean_up.python_func() == 2
    assert names(api) == {"kept"}


def test_outside_of_a_run_nothing_unfinished_is_touched(api: ApiServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KFP_POD_NAME")
    left(api, "rayjobs", "synthesize-1", RUNNING, run="")
    assert clean_up.python_func() == 0


@pytest.mark.parametrize("administrator", [False, True])
@pytest.mark.parametrize(
    "served", [set(), {"rayjobs"}, {"trainjobs"}, {"pytorchjobs"}, {"rayjobs", "pytorchjobs"}, set(JOBS)]
)
def test_kinds_that_the_cluster_does_not_serve_have_no_jobs(
    api: ApiServer, served: set[str], administrator: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    """The chart's Role names only served kinds, so the API server answers a request for others with 403, not 404."""
    api.served, api.administrator = {"pods", "events", *served}, administrator
    for plural in served:
        left(api, plural, f"of-{plural}", {})
    assert clean_up.python_func() == len(served)
    assert names(api) == set() and "may not" not in capsys.readouterr().err


def test_a_group_that_serves_other_kinds_alone_has_no_jobs_of_ours(api: ApiServer) -> None:
    """Such as kubeflow.org/v1 of another operator, or ray.io/v1 without RayJobs."""
    api.served = {"pods", "rayservices"}
    GROUPS["rayservices"] = "ray.io/v1"
    try:
        assert clean_up.python_func() == 0
    finally:
        del GROUPS["rayservices"]


@pytest.mark.parametrize("plural", JOBS)
def test_a_kind_that_may_not_be_listed_does_not_stop_the_clean_up_of_others(
    api: ApiServer, plural: str, capsys: pytest.CaptureFixture[str]
) -> None:
    api.served |= {"pytorchjobs"}
    api.granted = api.served - {plural}
    for each in JOBS:
        left(api, each, f"of-{each}", {})
    with pytest.raises(SystemExit) as ended:
        clean_up.python_func()
    assert ended.value.code == 1
    assert names(api) == {f"of-{plural}"}
    said = capsys.readouterr().err
    assert f"service account team/pipeline-runner may not list {plural}" in said and "k8s/base/role.yaml" in said
    assert sum(said.count(f"may not list {each}") for each in JOBS) == 1


def test_everything_that_cannot_be_deleted_is_named_in_the_end(
    api: ApiServer, capsys: pytest.CaptureFixture[str]
) -> None:
    """A missing right, an operator whose webhook refuses, and jobs that can be deleted."""
    api.served |= {"pytorchjobs"}
    api.denied.add(("delete", "rayjobs"))
    api.refused["list", "pytorchjobs"] = (400, "conversion webhook for kubeflow.org/v1 failed")
    ended = timestamp_of(api.clock.now() - 7200)
    left(api, "rayjobs", "ray-1", RUNNING)
    left(api, "rayjobs", "ray-2", RUNNING)
    left(api, "trainjobs", "train-1", {})
    left(api, "trainjobs", "train-2", {"conditions": [{**COMPLETE, "lastTransitionTime": ended}]}, ttl="3600")
    with pytest.raises(SystemExit):
        clean_up.python_func()
    said = capsys.readouterr().err
    assert names(api) == {"ray-1", "ray-2"}
    assert "RayJob team/ray-1" in said and "RayJob team/ray-2" in said and "conversion webhook" in said


def test_a_clean_up_that_the_api_server_interrupts_can_be_retried(api: ApiServer) -> None:
    """As a retry in its pod does; what was deleted before stays deleted."""

    class Faster(FastClock):
        """Skip the minutes of retries."""

        def now(self) -> float:
            return super().now() * 50

    left(api, "rayjobs", "ray-1", RUNNING)
    left(api, "trainjobs", "train-1", {})
    api.refused["list", "trainjobs"] = (503, "the operator's webhook is not there yet")
    with pytest.raises(JobError) as caught:
        delete_unfinished(Cluster("team"), "run-1", Faster())
    assert caught.value.temporary and "deleted: RayJob team/ray-1" in caught.value.problem
    api.refused.clear()
    assert delete_unfinished(Cluster("team"), "run-1", FastClock()) == ["TrainJob team/train-1"]


def test_without_discovery_a_refused_kind_counts_as_served(api: ApiServer, capsys: pytest.CaptureFixture[str]) -> None:
    """Where discovery cannot show that a kind is not served, its jobs may exist."""
    api.discoverable = False
    left(api, "trainjobs", "train-1", {})
    with pytest.raises(SystemExit):
        clean_up.python_func()
    assert names(api) == set() and "may not list pytorchjobs" in capsys.readouterr().err


def test_the_run_is_known_without_the_right_to_its_pod(api: ApiServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUTELAGE_RUN", "run-1")
    api.denied.add(("get", "pods"))
    left(api, "trainjobs", "train-1", {})
    assert clean_up.python_func() == 1


def test_missing_right_is_named(api: ApiServer, capsys: pytest.CaptureFixture[str]) -> None:
    left(api, "trainjobs", "train-1", {})
    api.denied.add(("delete", "trainjobs"))
    with pytest.raises(SystemExit):
        clean_up.python_func()
    assert "may not delete trainjobs" in capsys.readouterr().err
