"""The program of the jobs of `helm test`, on real torchrun and Ray: processes connect, and each tries the store."""

from pathlib import Path

import pytest

from components.launch.job import Job, Launch, run_job
from components.shared.errors import JobError
from pipelines.doctor.try_cluster import MODULE


def job(program: str, *arguments: str) -> Job:
    return Job(name="try", program=program, module=MODULE, arguments=arguments, launch=Launch(processes_per_node=2))


@pytest.mark.parametrize(
    ("program", "met"), [("torchrun", "rank 1 of 2 met 2"), ("ray", "a task ran on one of 1 node")]
)
def test_processes_connect_and_try_the_store(
    program: str, met: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    run_job(job(program, str(tmp_path)))
    log = "".join(capfd.readouterr())
    assert met in log and "conditional put" in log
    assert list(tmp_path.iterdir()) == []


def test_a_store_that_refuses_fails_the_job(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(JobError):
        run_job(job("torchrun", str(tmp_path / "file" / "store")))
    assert "a part of this path is a file" in "".join(capfd.readouterr())
