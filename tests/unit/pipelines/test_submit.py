"""Submitting to Kubeflow: the client is the real one, the back end a stand-in over loopback HTTP."""

import json
from pathlib import Path

import pytest

from components.launch.api.clock import Clock
from components.shared.errors import JobError, TutelageError
from components.shared.outputs.library import Library
from components.shared.outputs.run_pointer import address_of_run, point_from_run
from pipelines.kubeflow import watch_run
from tests.unit.pipelines.command import DEMO, Tutelage
from tests.unit.pipelines.stand_in import Kubeflow


def test_a_submitted_run_is_found_again_by_its_name(tutelage: Tutelage, kubeflow: Kubeflow) -> None:
    done = tutelage.submit()
    assert done.exit_code == 0, done.output
    assert "run-1" in done.output and f"{tutelage.host}/#/runs/details/run-1" in done.output
    assert kubeflow.run is not None
    assert kubeflow.run["pipeline_spec"]["platform_spec"], "what Kubernetes is asked for goes with it"
    kubeflow.states, kubeflow.tasks = (
        ["RUNNING"],
        {"collect": "SUCCEEDED", "curate": "RUNNING", "curate-driver": "FAILED"},
    )
    shown = tutelage("status", "demo")
    assert shown.exit_code == 0
    rows = {line.split()[3]: line for line in shown.output.splitlines() if line.startswith("│")}
    assert "done" in rows["collect"] and "7.0" in rows["collect"]
    assert "running" in rows["curate"] and "waiting" in rows["train-sft"], "named as the recipe names it"
    assert "curate-driver" not in shown.output


def test_nothing_secret_is_recorded(tutelage: Tutelage, kubeflow: Kubeflow, tmp_path: Path) -> None:
    kubeflow.token = "hidden-word"
    token = tmp_path / "token"
    token.write_text("hidden-word\n")
    done = tutelage.submit("--token-file", str(token))
    assert done.exit_code == 0, done.output
    kept = (tutelage.work / "runs" / "demo" / "submitted.json").read_text()
    assert json.loads(kept)["access"]["token_file"] == str(token)
    assert "hidden-word" not in kept + done.output


def test_a_token_that_changes_is_read_again(tutelage: Tutelage, kubeflow: Kubeflow, tmp_path: Path) -> None:
    token = tmp_path / "token"
    kubeflow.token = "first"
    token.write_text("first")
    assert tutelage.submit("--token-file", str(token)).exit_code == 0
    kubeflow.token = "second"
    refused = tutelage("status", "demo")
    assert isinstance(refused.exception, TutelageError) and "401" in str(refused.exception)
    token.write_text("second")
    assert tutelage("status", "demo").exit_code == 0


def test_the_cookie_of_a_login_is_sent(tutelage: Tutelage, kubeflow: Kubeflow, tmp_path: Path) -> None:
    kubeflow.cookie = "oauth2_proxy_kubeflow=abc"
    cookies = tmp_path / "cookies"
    cookies.write_text("oauth2_proxy_kubeflow=abc\n")
    assert tutelage.submit("--cookies-file", str(cookies)).exit_code == 0


def test_many_users_need_a_namespace(tutelage: Tutelage, kubeflow: Kubeflow) -> None:
    kubeflow.several_users = True
    refused = tutelage.submit()
    assert "--namespace NAME" in str(refused.exception)
    assert tutelage.submit("--namespace", "team").exit_code == 0
    made = next(r for r in kubeflow.requests if r.method == "POST" and r.path.endswith("/experiments"))
    assert made.body["namespace"] == "team"


@pytest.mark.parametrize(
    ("status", "said"),
    [(401, "--token-file"), (403, "request permission"), (404, "check --host"), (500, "ml-pipeline")],
)
def test_a_refusal_names_the_remedy(tutelage: Tutelage, kubeflow: Kubeflow, status: int, said: str) -> None:
    kubeflow.status = status
    refused = tutelage.submit()
    assert isinstance(refused.exception, TutelageError)
    assert str(status) in str(refused.exception) and said in str(refused.exception)


def test_a_page_instead_of_the_api_means_a_login_that_ended(tutelage: Tutelage, kubeflow: Kubeflow) -> None:
    kubeflow.page = True
    assert "log in again" in str(tutelage.submit().exception)


def test_a_host_that_nobody_listens_on_is_named(tutelage: Tutelage) -> None:
    refused = tutelage.submit("--host", "http://127.0.0.1:9")
    assert isinstance(refused.exception, TutelageError) and "cannot be reached" in str(refused.exception)


def test_a_missing_host_names_the_option(tutelage: Tutelage) -> None:
    tutelage.host = ""
    assert "TUTELAGE_KFP_HOST" in str(tutelage.submit().exception)


def test_a_folder_as_store_is_refused_before_anything_is_sent(tutelage: Tutelage, kubeflow: Kubeflow) -> None:
    refused = tutelage("submit", str(DEMO), "--host", tutelage.host)
    assert f"{DEMO}:5: store" in str(refused.exception) and "s3://BUCKET/PREFIX" in str(refused.exception)
    assert kubeflow.requests == []


def test_watching_ends_with_the_report(tutelage: Tutelage, kubeflow: Kubeflow, monkeypatch: pytest.MonkeyPatch) -> None:
    kubeflow.states, kubeflow.tasks = (
        ["PENDING", "RUNNING", "SUCCEEDED"],
        {"collect": "SUCCEEDED", "train-3": "SUCCEEDED"},
    )
    fetched: list[str] = []
    monkeypatch.setattr(
        "pipelines.cli.show_result.fetch_submitted_report", lambda submission, folder: fetched.append(submission.run)
    )
    monkeypatch.setattr("pipelines.cli.show_result.print_result", lambda report, folder: None)
    done = tutelage.submit("--watch")
    assert done.exit_code == 0, done.output
    assert fetched == ["run-1"]
    assert "collect: done" in done.output and "train-sft-kto: done" in done.output


def test_a_failed_task_is_named_with_its_page(tutelage: Tutelage, kubeflow: Kubeflow) -> None:
    kubeflow.states, kubeflow.tasks = ["FAILED"], {"select": "FAILED"}
    failed = tutelage.submit("--watch")
    assert failed.exit_code == 1
    text = str(failed.exception)
    assert "select: failed" in text and "/#/runs/details/run-1" in text


def test_ctrl_c_ends_the_watching_and_not_the_run(
    tutelage: Tutelage, kubeflow: Kubeflow, monkeypatch: pytest.MonkeyPatch
) -> None:
    kubeflow.states = ["RUNNING"]

    def interrupt(seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(watch_run.time, "sleep", interrupt)
    done = tutelage.submit("--watch")
    assert done.exit_code == 130
    assert "which continues" in done.output and "tutelage cancel demo" in done.output
    assert not kubeflow.terminated


def test_a_short_outage_does_not_end_the_watching(
    tutelage: Tutelage, kubeflow: Kubeflow, monkeypatch: pytest.MonkeyPatch
) -> None:
    kubeflow.states, kubeflow.tasks = ["RUNNING", "FAILED"], {"select": "FAILED"}
    seen: list[float] = []

    def away_for_a_while(seconds: float) -> None:
        seen.append(seconds)
        kubeflow.status = 503 if len(seen) < 3 else 0

    monkeypatch.setattr(watch_run.time, "sleep", away_for_a_while)
    assert "select: failed" in str(tutelage.submit("--watch").exception)
    assert len(seen) >= 3


def test_cancelling_ends_the_run_and_reports_who_ends_its_jobs(tutelage: Tutelage, kubeflow: Kubeflow) -> None:
    kubeflow.states = ["RUNNING"]
    tutelage.submit()
    done = tutelage("cancel", "demo")
    assert done.exit_code == 0, done.output
    assert kubeflow.terminated and "its exit handler deletes its jobs" in done.output


def test_cancelling_deletes_the_jobs_where_the_cluster_can_be_reached(
    tutelage: Tutelage, kubeflow: Kubeflow, monkeypatch: pytest.MonkeyPatch
) -> None:
    kubeflow.states = ["RUNNING"]
    tutelage.submit("--namespace", "team")
    asked: list[tuple[str, str]] = []

    class Reached:
        def __init__(self, namespace: str) -> None:
            self.namespace = namespace

    def delete(cluster: Reached, run: str, clock: Clock) -> list[str]:
        with pytest.raises(JobError, match="does not respond"):
            clock.sleep(1)
        asked.append((cluster.namespace, run))
        return ["RayJob team/synthesize-abc"]

    monkeypatch.setattr("components.launch.api.cluster.Cluster", Reached)
    monkeypatch.setattr("components.launch.follow.clean_up.delete_unfinished", delete)
    assert "deleted RayJob team/synthesize-abc" in tutelage("cancel").output
    assert asked == [("team", "run-1")]


def test_a_run_that_was_submitted_elsewhere_is_found_by_its_id(
    tutelage: Tutelage, kubeflow: Kubeflow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tutelage.submit()
    monkeypatch.setenv("TUTELAGE_KFP_HOST", tutelage.host)
    kubeflow.tasks = {"train": "SUCCEEDED"}
    other = Tutelage(tmp_path / "other", tutelage.host)
    assert "train-sft" in other("status", "--run", "run-1").output
    assert "404" in str(other("status", "--run", "run-2").exception)


def test_a_run_of_this_machine_cannot_be_cancelled_in_kubeflow(tutelage: Tutelage) -> None:
    (tutelage.work / "runs" / "demo").mkdir(parents=True)
    (tutelage.work / "runs" / "demo" / "events.jsonl").write_text("")
    assert "was not submitted" in str(tutelage("cancel", "demo").exception)


def test_the_report_of_a_run_is_found_through_the_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from components.shared.outputs.manifest import Manifest

    manifest = Manifest.model_construct(address="publish/abc", content="report/1", shards=())
    point_from_run(Library(str(tmp_path)), manifest)
    assert list(tmp_path.iterdir()) == [], "a run on one machine leaves no pointer"
    monkeypatch.setenv("TUTELAGE_RUN", "run-1")
    assert point_from_run(Library(str(tmp_path)), manifest) is manifest
    assert address_of_run(Library(str(tmp_path)), "run-1") == "publish/abc"
    with pytest.raises(TutelageError, match="no report of run"):
        address_of_run(Library(str(tmp_path)), "run-2")
