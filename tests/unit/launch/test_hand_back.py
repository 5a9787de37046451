"""A job's program and its step talk through typed files: the step gets the result, or the very error of the job."""

import json
from pathlib import Path

import pytest
from pydantic import BaseModel

from components.launch.hand_back.files import FAILURE_FILE, JOB_FILE, RESULT_FILE, JobFailure, JobResult
from components.launch.hand_back.hand_over import HandedJob
from components.launch.hand_back.report import failures_recorded, read_job, record_failure
from components.launch.job import Job, Launch, ProgramFailedError
from components.shared.errors import (
    DamagedError,
    GenerationError,
    InputError,
    JobError,
    NotFoundError,
    SettingsError,
    TutelageError,
)
from components.shared.outputs.library import Library
from components.shared.outputs.output import Output
from components.shared.settings import Settings
from components.shared.step import Product

ROOT = Path(__file__).parents[3]
PROGRAM = """
import argparse, os, signal, sys
from pydantic import BaseModel
from components.launch.hand_back.files import JobResult
from components.launch.hand_back.report import failures_recorded, read_job, write_result
from components.shared import errors

class Sum(BaseModel):
    numbers: tuple[int, ...]

parser = argparse.ArgumentParser()
parser.add_argument("--job", required=True)
uri = parser.parse_args().job
with failures_recorded(uri, "sum"):
    task = read_job(uri, Sum)
"""


class Sum(BaseModel):
    """The task that these tests' job reads."""

    numbers: tuple[int, ...] = (1, 2, 3)


def output_in(folder: Path) -> Output:
    return Output(Library(str(folder)), Product("sum", 1, "sum/1"), Settings(), {})


def run(folder: Path, work: str) -> JobResult:
    """Run a job whose program does `work` after it has read its job file."""
    (folder / "summing.py").write_text(PROGRAM + "".join(f"    {line}\n" for line in work.splitlines()))
    handed = HandedJob(output_in(folder), JobResult)
    launch = Launch(environment={"PYTHONPATH": f"{folder}:{ROOT}"})
    job = Job(name="sum-1", program="ray", module="summing", arguments=handed.arguments, launch=launch)
    return handed.result() or handed.run(Sum(), job)


def test_a_job_reads_its_task_and_hands_its_result_back_once(tmp_path: Path) -> None:
    work = "write_result(uri, JobResult(counts={'sum': sum(task.numbers)}))"
    assert run(tmp_path, work).counts == {"sum": 6}
    assert run(tmp_path, "raise SystemExit('it runs no second time')").counts == {"sum": 6}
    handed = HandedJob(output_in(tmp_path), JobResult)
    handed.clear()
    assert handed.result() is None


def test_the_step_raises_the_error_of_its_job(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    work = (
        "raise errors.GenerationError('https://x does not answer', rule='it must', remedy='start it',\n"
        "                             allowed=['a', 'b'], temporary=True)"
    )
    with pytest.raises(GenerationError) as raised:
        run(tmp_path, work)
    error = raised.value
    assert (error.problem, error.rule, error.remedy) == ("https://x does not answer", "it must", "start it")
    assert (error.allowed, error.temporary) == (("a", "b"), True)
    assert "exit code 75" in capsys.readouterr().err, "the log names the process that failed"


def test_an_unexpected_error_of_a_job_has_no_traceback_and_a_remedy(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(JobError, match="unexpected ZeroDivisionError: division by zero") as raised:
        run(tmp_path, "1 / 0")
    assert "TUTELAGE_DEBUG" in raised.value.remedy
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize(("work", "words"), [("os.kill(os.getpid(), 9)", "exit code -9"), ("sys.exit(3)", "code 3")])
def test_a_job_that_records_nothing_is_explained_by_its_launcher(tmp_path: Path, work: str, words: str) -> None:
    with pytest.raises(JobError, match=words):
        run(tmp_path, work)


def test_the_failure_of_an_earlier_run_is_not_raised_again(tmp_path: Path) -> None:
    with pytest.raises(InputError):
        run(tmp_path, "raise errors.InputError('no rows')")
    with pytest.raises(ProgramFailedError, match="exit code 3"):
        run(tmp_path, "sys.exit(3)")


def test_what_remained_of_a_lost_pod_does_not_explain_a_later_start(tmp_path: Path) -> None:
    """A lost connection was recorded with code 75; then the job was started again, and crashed."""
    work = (
        "from components.launch.hand_back.report import record_failure\n"
        "record_failure(uri, errors.JobError('lost the connection', temporary=True))\n"
        "sys.exit(139)"
    )
    with pytest.raises(ProgramFailedError, match="exit code 139"):
        run(tmp_path, work)


def test_a_consequence_does_not_replace_the_cause(tmp_path: Path) -> None:
    uri = f"{tmp_path}/{JOB_FILE}"
    lost = JobError("lost the connection", temporary=True)
    for error in (lost, SettingsError("max_length 9 is too small"), lost):
        record_failure(uri, error)
    assert json.loads((tmp_path / FAILURE_FILE).read_bytes())["problem"] == "max_length 9 is too small"


def test_a_job_that_succeeds_without_a_result_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(JobError, match=r"left no result\.json"):
        run(tmp_path, "pass")


def test_damaged_files_name_the_field_and_the_remedy(tmp_path: Path) -> None:
    (tmp_path / JOB_FILE).write_text('{"numbers": "x"}')
    with pytest.raises(DamagedError, match=r"job\.json is damaged: numbers: .*") as raised:
        read_job(f"{tmp_path}/{JOB_FILE}", Sum)
    assert "delete it" in raised.value.remedy
    output = output_in(tmp_path)
    output.store.write(RESULT_FILE, b"{")
    with pytest.raises(DamagedError, match=r"result\.json is damaged"):
        HandedJob(output, JobResult).result()
    with pytest.raises(NotFoundError):
        read_job(f"{tmp_path}/none.json", Sum)


def test_an_error_of_another_module_is_recorded_as_its_nearest_known_class() -> None:
    class LostHereError(JobError):
        """Known to one module only."""

    assert JobFailure.of(LostHereError("x")).type == "JobError"
    assert isinstance(JobFailure(type="OfALaterVersion", problem="x").error(), JobError)


def test_a_store_that_refuses_the_record_keeps_the_message(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(SystemExit) as raised, failures_recorded(f"{tmp_path}/file/x/{JOB_FILE}", "sum"):
        raise SettingsError("bad value")
    assert raised.value.code == 2
    shown = capsys.readouterr().err
    assert "[sum] FAILED bad value" in shown and "not recorded" in shown


def test_an_explanation_of_the_step_is_what_is_recorded(tmp_path: Path) -> None:
    def explain(error: Exception) -> TutelageError:
        return SettingsError(f"explained {error}")

    with pytest.raises(SystemExit), failures_recorded(f"{tmp_path}/{JOB_FILE}", "sum", explain):
        raise ValueError("x")
    assert JobFailure.model_validate_json((tmp_path / FAILURE_FILE).read_bytes()).problem == "explained x"
