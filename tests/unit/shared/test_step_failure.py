"""A failed step's message outlives its pod: in the store, in the termination message, and at the end of its log."""

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from components.shared.errors import DamagedError, SettingsError, StoreError, TutelageError
from components.shared.process import step_failure
from components.shared.process.perform import perform, reported
from components.shared.process.step_failure import TERMINATION_BYTES, read_failures
from components.shared.settings import Settings

ROOT = Path(__file__).parents[3]
LOST = TutelageError("no teacher answers", rule="one has to", remedy="start it", allowed=("a", "b"), step="curate")


class Count(Settings):
    rows: int


@pytest.fixture(autouse=True)
def pod(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The pod of a task's second attempt; the file that the kubelet reads."""
    log = tmp_path / "termination-log"
    log.write_bytes(b"")
    monkeypatch.setattr(step_failure, "TERMINATION_LOG", log)
    for name, value in {"TUTELAGE_RUN": "run-1", "KFP_POD_NAME": "pod-1", "KFP_RETRY_INDEX": "1"}.items():
        monkeypatch.setenv(name, value)
    return log


def fail(root: str, error: BaseException, task: str = "curate") -> int:
    def work() -> Any:
        raise error

    with pytest.raises(SystemExit) as ended:
        perform(task, work, root=root)
    return int(str(ended.value.code))


def test_the_failure_is_in_the_store_with_all_its_parts(tmp_path: Path) -> None:
    store, before = str(tmp_path / "store"), time.time()
    assert fail(store, LOST) == 1
    found = read_failures(store, "run-1", ["collect", "curate"])
    assert list(found) == ["curate"]
    kept = found["curate"]
    assert (kept.task, kept.attempt, kept.pod, kept.exit_code) == ("curate", 2, "pod-1", 1)
    assert kept.message == str(LOST) and before <= kept.time <= time.time()
    assert (kept.rule, kept.remedy, kept.allowed) == ("one has to", "start it", ("a", "b"))
    assert read_failures(store, "run-2", ["curate"]) == {}


def test_a_result_that_cannot_be_handed_over_is_a_failure_like_any_other(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended, reported("select", str(tmp_path)):
        raise StoreError("the store refuses", remedy="ask for the right")
    assert ended.value.code == 1
    assert read_failures(str(tmp_path), "run-1", ["select"])["select"].problem == "the store refuses"
    shown = capsys.readouterr().err
    assert "FAILED the store refuses" in shown and "Traceback" not in shown


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (SettingsError("bad value"), 2, "bad value"),
        (MemoryError(), 1, "more memory"),
        (ValueError("surprise"), 1, "unexpected ValueError: surprise"),
    ],
)
def test_every_kind_of_failure_is_kept(tmp_path: Path, error: BaseException, code: int, said: str) -> None:
    assert fail(str(tmp_path), error) == code
    kept = read_failures(str(tmp_path), "run-1", ["curate"])["curate"]
    assert kept.exit_code == code and said in kept.message


def test_wrong_settings_are_kept_with_place_and_rule(tmp_path: Path) -> None:
    with pytest.raises(SystemExit):
        perform("curate", lambda: Count.model_validate({"rows": "many"}), root=str(tmp_path))  # type: ignore[arg-type,return-value]
    kept = read_failures(str(tmp_path), "run-1", ["curate"])["curate"]
    assert "rows = 'many'" in kept.problem and kept.remedy == "correct the recipe" and kept.exit_code == 2


def test_the_latest_attempt_is_what_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fail(str(tmp_path), TutelageError("first"))
    monkeypatch.setenv("KFP_RETRY_INDEX", "2")
    fail(str(tmp_path), TutelageError("second"))
    kept = read_failures(str(tmp_path), "run-1", ["curate"])["curate"]
    assert (kept.problem, kept.attempt) == ("second", 3)


def test_the_termination_message_is_the_error(pod: Path) -> None:
    fail("", LOST, "clean-up")
    assert pod.read_text() == f"clean-up: {LOST}"


def test_a_long_termination_message_keeps_begin_and_remedy(pod: Path) -> None:
    fail("", TutelageError("begin " + "é" * TERMINATION_BYTES, remedy="do this"))
    kept = pod.read_bytes()
    assert len(kept) <= TERMINATION_BYTES
    assert kept.decode().startswith("curate: begin é") and kept.decode().endswith("remedy: do this")


def test_outside_kubeflow_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pod: Path) -> None:
    monkeypatch.delenv("TUTELAGE_RUN")
    fail(str(tmp_path / "store"), LOST)
    assert not (tmp_path / "store").exists() and pod.read_bytes() == b""


def test_a_store_that_refuses_does_not_hide_the_failure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    assert fail(str(tmp_path / "file" / "store"), SettingsError("bad value")) == 2
    shown = capsys.readouterr().err
    assert "this failure is not recorded" in shown
    assert shown.rstrip().endswith("FAILED bad value"), "the step's own message comes last"


def test_a_store_that_does_not_answer_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    silent = threading.Event()

    def wait(uri: str) -> None:
        silent.wait(30)
        raise StoreError("late")

    monkeypatch.setattr(step_failure, "open_store", wait)
    monkeypatch.setattr(step_failure, "KEEPING_SECONDS", 0.05)
    assert fail(str(tmp_path), LOST) == 1
    silent.set()
    assert "the store does not respond" in capsys.readouterr().err


def test_an_object_that_no_step_wrote_is_damaged(tmp_path: Path) -> None:
    fail(str(tmp_path), LOST)
    (tmp_path / "runs/run-1/failures/curate.json").write_text("{}")
    with pytest.raises(DamagedError, match=r"curate\.json"):
        read_failures(str(tmp_path), "run-1", ["curate"])


def test_the_log_that_kubeflow_shows_ends_with_the_message(tmp_path: Path) -> None:
    """As a pod runs it: kfp's own executor with the component's function."""
    (tmp_path / "broken").write_text("not a manifest")
    dataset = {"artifacts": [{"name": "r", "type": {"schemaTitle": "system.Dataset"}, "uri": str(tmp_path / "broken")}]}
    made = {
        name: {"artifacts": [{"name": name, "type": {"schemaTitle": kind}, "uri": str(tmp_path / "out" / name)}]}
        for name, kind in {
            "dataset": "system.Dataset",
            "metrics": "system.Metrics",
            "summary": "system.Markdown",
        }.items()
    }
    given = {
        "inputs": {
            "parameterValues": {"root": str(tmp_path / "store"), "settings": {}},
            "artifacts": {"responses": dataset},
        },
        "outputs": {
            "parameters": {"Output": {"outputFile": str(tmp_path / "out" / "Output")}},
            "artifacts": made,
            "outputFile": str(tmp_path / "out" / "metadata.json"),
        },
    }
    program = [sys.executable, "-m", "kfp.dsl.executor_main", "--component_module_path"]
    program += [str(ROOT / "components" / "select" / "component.py"), "--function_to_execute", "select"]
    done = subprocess.run(
        [*program, "--executor_input", json.dumps(given)],
        env={**os.environ, "TUTELAGE_RUN": "run-1"},
        capture_output=True,
        text=True,
        timeout=120,
        cwd=ROOT,
    )
    kept = read_failures(str(tmp_path / "store"), "run-1", ["select"])["select"]
    assert done.returncode == kept.exit_code != 0
    assert (done.stdout + done.stderr).rstrip().endswith(f"[select] FAILED {kept.message}")
    assert "Traceback" not in done.stderr
