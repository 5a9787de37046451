"""What a component does around its work: state, errors without a traceback, hand-over."""

import json
from pathlib import Path
from typing import Any

import pytest

from components.shared.errors import EmptyDataError, SettingsError
from components.shared.log import EVENTS_VARIABLE
from components.shared.outputs.library import Library
from components.shared.outputs.manifest import Manifest
from components.shared.outputs.output import Output
from components.shared.process.perform import DEBUG_VARIABLE, hand_over, perform, read_artifact
from components.shared.settings import Settings
from components.shared.step import Product


class Artifact:
    """The part of kfp's artifact that a component uses."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)
        self.metadata: dict[str, Any] = {}
        self.logged: dict[str, float] = {}

    def log_metric(self, metric: str, value: float) -> None:
        self.logged[metric] = value


@pytest.fixture
def manifest(tmp_path: Path) -> Manifest:
    with Output(Library(str(tmp_path / "store")), Product("step", 1, "rejected/1"), Settings(), {}).writing() as output:
        return output.finish({"rows": 3, "share": 0.5})


@pytest.fixture
def events(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(EVENTS_VARIABLE, str(tmp_path / "events.jsonl"))
    return tmp_path / "events.jsonl"


def states(events: Path) -> list[dict[str, Any]]:
    return [event for event in map(json.loads, events.read_text().splitlines()) if event["kind"] == "state"]


def fail(error: BaseException) -> Any:
    def work() -> Manifest:
        raise error

    return work


def test_hand_over_and_back(manifest: Manifest, tmp_path: Path) -> None:
    artifact, metrics, summary = (Artifact(tmp_path / "run" / name / "data") for name in ("a", "m", "s"))
    uri = hand_over(manifest, Library(f"{tmp_path}/store/"), artifact, metrics, (summary, "# 中"))
    assert uri == f"{tmp_path}/store/{manifest.address}"
    assert read_artifact(artifact) == manifest
    assert artifact.metadata == {"address": manifest.address, "digest": manifest.digest}
    assert metrics.logged == {"rows": 3.0, "share": 0.5}
    assert json.loads(Path(metrics.path).read_text()) == metrics.logged, "the file that the artifact announces"
    assert Path(summary.path).read_text() == "# 中"


def test_good_work_is_reported(manifest: Manifest, events: Path) -> None:
    assert perform("train-sft", lambda: manifest) is manifest
    running, done = states(events)
    assert (running["task"], running["state"]) == ("train-sft", "running")
    assert (done["state"], done["address"]) == ("done", manifest.address)


class Count(Settings):
    rows: int


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (SettingsError("bad", remedy="correct it"), 2, "remedy: correct it"),
        (EmptyDataError("nothing is left"), 1, "nothing is left"),
        (MemoryError(), 1, "more memory"),
        (ValueError("surprise"), 1, "unexpected ValueError: surprise"),
    ],
)
def test_failure_is_one_message_and_an_exit_code(
    error: BaseException, code: int, said: str, events: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        perform("curate", fail(error))
    assert ended.value.code == code
    shown = capsys.readouterr().err
    assert said in shown and "[curate] FAILED" in shown and "Traceback" not in shown
    assert states(events)[-1]["state"] == "failed" and said in states(events)[-1]["message"]


def test_wrong_settings_name_place_value_and_rule(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        perform("curate", lambda: Count.model_validate({"rows": "many"}))  # type: ignore[arg-type,return-value]
    assert ended.value.code == 2
    shown = capsys.readouterr().err
    assert "rows = 'many'" in shown and "integer" in shown and "correct the recipe" in shown


def test_debug_shows_the_traceback(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv(DEBUG_VARIABLE, "1")
    with pytest.raises(SystemExit):
        perform("curate", fail(EmptyDataError("nothing is left")))
    assert "Traceback" in capsys.readouterr().err


def test_interruption(events: Path) -> None:
    with pytest.raises(SystemExit) as ended:
        perform("curate", fail(KeyboardInterrupt()))
    assert ended.value.code == 130 and states(events)[-1]["state"] == "interrupted"
