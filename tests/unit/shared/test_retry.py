"""When a step retries within its pod: temporary failures, where nothing else retries them, and as often as asked."""

import json
from pathlib import Path
from typing import Any

import pytest

from components.shared.errors import (
    DamagedError,
    GenerationError,
    JobError,
    ModelError,
    SettingsError,
    StoreError,
)
from components.shared.process import retry
from components.shared.process.perform import perform
from components.shared.store.attempts import ATTEMPTS_VARIABLE
from components.shared.store.open_store import open_store
from tests.unit.pipelines.stand_in import served

BACKOFF = {"duration": "30", "factor": "2", "maxDuration": "604800"}
DOWN = StoreError("s3://bucket: connection refused", temporary=True)


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses that were made, without waiting."""
    made: list[float] = []
    monkeypatch.setattr(retry.time, "sleep", made.append)
    return made


@pytest.fixture(autouse=True)
def pod(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pod of KFP 2.17's default install, with two retries."""
    monkeypatch.setattr(retry, "TEMPLATE", tmp_path / "template")
    in_pod(limit="2", retryPolicy="OnError")
    monkeypatch.setenv("TUTELAGE_RETRIES", "2")
    monkeypatch.setenv("TUTELAGE_RETRY_FOR_SECONDS", "604800")
    monkeypatch.setenv("KFP_RETRY_INDEX", "0")


def in_pod(**strategy: str) -> None:
    """What Argo's emissary leaves in a pod."""
    whole = {"name": "system-container-impl", "retryStrategy": {**strategy, "backoff": BACKOFF}}
    retry.TEMPLATE.write_text(json.dumps(whole))


class Work:
    """Fails with each error in turn, then succeeds."""

    def __init__(self, *errors: Exception) -> None:
        self.errors, self.starts = list(errors), 0

    def __call__(self) -> Any:
        self.starts += 1
        if self.errors:
            raise self.errors.pop(0)
        return Done()


class Done:
    address = "train/abc"

    class cost:  # noqa: N801
        seconds = 1.0


def test_a_temporary_failure_is_retried_in_the_pod_and_logged(
    pauses: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    work = Work(DOWN, DOWN)
    assert perform("train-sft", work).address == "train/abc"
    assert (work.starts, pauses) == (3, [30, 60]), "as many retries, and the same pauses, as the task has"
    said = capsys.readouterr().err
    assert "s3://bucket: connection refused" in said and "retry 2 of 2 in this pod in 60 s" in said
    assert "FAILED" not in said


def test_a_step_whose_store_is_away_for_a_while_succeeds(
    pauses: list[float], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "any")
    monkeypatch.setenv(ATTEMPTS_VARIABLE, "1")
    busy = "<Error><Code>SlowDown</Code><Message>later</Message></Error>"

    def work() -> Any:
        return Done() if open_store("s3://bucket").read("rows") == b"rows" else None

    with served(lambda request: (503, busy) if len(pauses) < 2 else (200, "rows")) as url:
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        assert perform("collect", work).address
    assert pauses == [30, 60] and "the store answered SlowDown" in capsys.readouterr().err


def test_it_is_retried_no_more_often_than_the_placement_allows(
    pauses: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    work = Work(*[DOWN] * 9)
    with pytest.raises(SystemExit) as ended:
        perform("train-sft", work)
    assert (work.starts, ended.value.code) == (3, 1)
    assert capsys.readouterr().err.count("FAILED") == 1


@pytest.mark.parametrize(
    "error",
    [
        SettingsError("lr = -1"),
        DamagedError("rows differ from the manifest"),
        StoreError("no credentials found"),
        GenerationError("refuses the key"),
        ModelError("lacks weights"),
        JobError("the job ended with exit code 1"),
        ValueError("a defect"),
        MemoryError(),
        FileNotFoundError("no such file"),
    ],
)
def test_a_lasting_failure_is_not_retried(error: Exception, pauses: list[float]) -> None:
    work = Work(error)
    with pytest.raises(SystemExit):
        perform("train-sft", work)
    assert (work.starts, pauses) == (1, [])


def test_wrong_settings_are_not_retried_and_keep_their_exit_code(pauses: list[float]) -> None:
    with pytest.raises(SystemExit) as ended:
        perform("train-sft", Work(DOWN, SettingsError("lr = -1")))
    assert (ended.value.code, pauses) == (2, [30])


@pytest.mark.parametrize("strategy", [{}, {"retryPolicy": "OnFailure"}, {"retryPolicy": "Always"}, {"expression": "x"}])
def test_where_argo_starts_the_pod_again_the_step_leaves_it_to_that(
    strategy: dict[str, str], pauses: list[float]
) -> None:
    in_pod(limit="2", **strategy)
    work = Work(DOWN)
    with pytest.raises(SystemExit):
        perform("train-sft", work)
    assert (work.starts, pauses) == (1, [])


@pytest.mark.parametrize("left", ["", "not JSON", "{}", '{"retryStrategy": null}'])
def test_where_nobody_says_that_the_pod_is_started_again_the_step_tries(left: str, pauses: list[float]) -> None:
    retry.TEMPLATE.unlink()
    if left:
        retry.TEMPLATE.write_text(left)
    assert perform("train-sft", Work(DOWN)).address


@pytest.mark.parametrize(("policy", "tried"), [("OnError", True), ("OnTransientError", True), ("Always", False)])
def test_policies_that_leave_out_exit_codes(policy: str, tried: bool) -> None:
    in_pod(limit="2", retryPolicy=policy)
    assert bool(retry.retries_in_pod()) is tried


@pytest.mark.parametrize(("index", "starts"), [("0", 3), ("1", 2), ("2", 1), ("3", 1), ("", 3)])
def test_pods_that_were_lost_before_count(
    index: str, starts: int, pauses: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Argo starts a lost pod again by itself, with the same limit."""
    monkeypatch.setenv("KFP_RETRY_INDEX", index)
    work = Work(*[DOWN] * 9)
    with pytest.raises(SystemExit):
        perform("train-sft", work)
    assert work.starts == starts


def test_no_retry_begins_after_the_longest_time(pauses: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUTELAGE_RETRY_FOR_SECONDS", "45")
    work = Work(*[DOWN] * 9)
    monkeypatch.setattr(retry.time, "monotonic", lambda: float(sum(pauses)))
    with pytest.raises(SystemExit):
        perform("train-sft", work)
    assert pauses == [30]


def test_on_one_machine_nothing_is_retried(pauses: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TUTELAGE_RETRIES")
    with pytest.raises(SystemExit):
        perform("train-sft", Work(DOWN))
    assert pauses == []
