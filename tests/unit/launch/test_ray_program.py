"""A Ray job ends with its error's exit code, and leaves the error for its step."""

import sys
from pathlib import Path

import pytest

from components.launch.hand_back.files import FAILURE_FILE, JOB_FILE, JobFailure
from components.launch.ray.program import run_program
from components.shared.errors import GenerationError, SettingsError, TutelageError
from components.shared.store.open_store import open_store
from components.shared.store.uri import join


@pytest.mark.parametrize(
    "met",
    [
        GenerationError("no answer from http://teacher", remedy="see whether it runs", temporary=True),
        GenerationError("40 of 40 answers failed", rule="at most 10 %", remedy="correct it"),
        SettingsError("no such origin", allowed=["teacher", "student"]),
    ],
)
def test_the_job_leaves_the_error_it_met(
    met: TutelageError, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def fail(_uri: str) -> None:
        raise met

    monkeypatch.setattr(sys, "argv", ["program", "--job", join(str(tmp_path), "synthesize/abc", JOB_FILE)])
    with pytest.raises(SystemExit) as ended:
        run_program("synthesize", fail, None)
    assert ended.value.code == met.job_exit_code
    assert met.problem in capfd.readouterr().err
    recorded = open_store(str(tmp_path)).at("synthesize/abc").read(FAILURE_FILE)
    raised = JobFailure.model_validate_json(recorded).error()
    assert type(raised) is type(met)
    assert (raised.problem, raised.remedy, raised.temporary) == (met.problem, met.remedy, met.temporary)
    assert raised.exit_code == met.exit_code
