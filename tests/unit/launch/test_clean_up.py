"""What a run leaves behind is deleted, and nothing else."""

from pathlib import Path
from typing import Any

import pytest

from components.clean_up.component import clean_up
from components.launch import connect
from components.launch.kind import MANAGED_BY, RUN_LABEL
from components.launch.marks import TTL_ANNOTATION
from components.launch.moments import written
from tests.unit.launch.api_server import ApiServer

RUNNING = {"jobDeploymentStatus": "Running", "jobStatus": "RUNNING"}
COMPLETE = {"type": "Complete", "status": "True"}


@pytest.fixture(autouse=True)
def step(api: ApiServer, kubeconfig: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """This process is a step of run-1."""
    (tmp_path / "namespace").write_text("team")
    monkeypatch.setattr(connect, "SERVICE_ACCOUNT", tmp_path)
    monkeypatch.setenv("KFP_POD_NAME", "step")
    api.put("pods", {"metadata": {"name": "step", "labels": {"pipeline/runid": "run-1"}}})


def left(api: ApiServer, plural: str, name: str, status: dict[str, Any], *, run: str = "run-1", ttl: str = "") -> None:
    meta = {"name": name, "labels": {**MANAGED_BY, RUN_LABEL: run}, "annotations": {TTL_ANNOTATION: ttl}}
    api.put(plural, {"metadata": meta, "spec": {}, "status": status})


def names(api: ApiServer) -> set[str]:
    return {one["metadata"]["name"] for plural in ("rayjobs", "trainjobs") for one in api.all(plural)}


def test_unfinished_jobs_of_the_run_are_deleted(api: ApiServer) -> None:
    """The cluster serves no PyTorchJob: it has none to delete."""
    left(api, "rayjobs", "synthesize-1", RUNNING)
    left(api, "trainjobs", "train-1", {})
    left(api, "trainjobs", "train-of-another-run", {}, run="run-2")
    left(api, "trainjobs", "train-that-ended", {"conditions": [COMPLETE]})
    api.put("trainjobs", {"metadata": {"name": "of-somebody-else", "labels": {RUN_LABEL: "run-1"}}, "spec": {}})
    assert clean_up.python_func() == 2
    assert names(api) == {"train-of-another-run", "train-that-ended", "of-somebody-else"}


def test_a_trainjob_is_suspended_before_it_is_deleted(api: ApiServer) -> None:
    """Or Kubeflow Trainer makes its pods anew while it is being deleted, again and again."""
    left(api, "trainjobs", "train-1", {})
    uid = api.all("trainjobs")[0]["metadata"]["uid"]
    assert clean_up.python_func() == 1
    suspended = [thing for _, plural, kind, thing in api.history if (plural, kind) == ("trainjobs", "MODIFIED")]
    assert [(one["metadata"]["uid"], one["spec"]["suspend"]) for one in suspended[:1]] == [(uid, True)]


def test_jobs_that_were_kept_long_enough_are_deleted(api: ApiServer) -> None:
    ended = api.clock.now() - 7200
    told = {**COMPLETE, "lastTransitionTime": written(ended)}
    left(api, "trainjobs", "kept-too-long", {"conditions": [told]}, run="run-2", ttl="3600")
    left(api, "trainjobs", "kept", {"conditions": [told]}, ttl="86400")
    ray = {"jobDeploymentStatus": "Complete", "jobStatus": "SUCCEEDED", "endTime": written(ended)}
    left(api, "rayjobs", "ray-kept-too-long", ray, ttl="3600")
    assert clean_up.python_func() == 2
    assert names(api) == {"kept"}


def test_outside_of_a_run_nothing_unfinished_is_touched(api: ApiServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KFP_POD_NAME")
    left(api, "rayjobs", "synthesize-1", RUNNING, run="")
    assert clean_up.python_func() == 0


def test_missing_right_is_named(api: ApiServer, capsys: pytest.CaptureFixture[str]) -> None:
    left(api, "trainjobs", "train-1", {})
    api.denied.add(("delete", "trainjobs"))
    with pytest.raises(SystemExit):
        clean_up.python_func()
    assert "may not delete trainjobs" in capsys.readouterr().err
