"""A job on this machine relays its log, reports why it failed, and never outlives its step."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from components.launch.here.local import command_of, environment_of, run_locally
from components.launch.job import Job, Launch
from components.shared.errors import JobError, SettingsError

WAIT_SECONDS = 60.0


def job(folder: Path, program: str, **launch: object) -> Job:
    """A Ray driver, which is a plain Python program here."""
    (folder / "program.py").write_text(program)
    environment = {"PYTHONPATH": f"{folder}{os.pathsep}{Path(__file__).parents[3]}"}
    settings = Launch.model_validate({"environment": environment, **launch})
    return Job(name="synthesize-1", program="ray", module="program", launch=settings)


def step(folder: Path) -> "subprocess.Popen[bytes]":
    """A process that runs the job in the folder's job.json, as a step does."""
    source = (
        "import signal, sys; from components.launch.job import Job\n"
        "from components.launch.here.local import run_locally\n"
        "# A shell starts its background jobs with SIGINT ignored, and the tests may be one.\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "run_locally(Job.model_validate_json(open(sys.argv[1]).read()))"
    )
    arguments = [sys.executable, "-c", source, str(folder / "job.json")]
    return subprocess.Popen(arguments, cwd=Path(__file__).parents[3], stderr=subprocess.DEVNULL)


def waited(path: Path) -> str:
    """The text of a file, once it exists."""
    deadline = time.monotonic() + WAIT_SECONDS
    while not path.exists() or not path.read_text():
        assert time.monotonic() < deadline, f"{path} did not appear"
        time.sleep(0.02)
    return path.read_text()


def assert_gone(process: int) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while Path(f"/proc/{process}").exists():
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
        if state == "Z":
            return
        assert time.monotonic() < deadline, f"process {process} is still there"
        time.sleep(0.02)


def test_the_log_is_relayed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_locally(job(tmp_path, "print('10 rows, 你好')"))
    assert "10 rows, 你好\n" in capsys.readouterr().err


def test_a_failure_shows_the_last_lines_of_the_log(tmp_path: Path) -> None:
    lines = "the loss of step 3 is nan\\n  remedy: lower learning_rate"
    with pytest.raises(JobError) as raised:
        run_locally(job(tmp_path, f"import sys; print('{lines}'); sys.exit(1)"))
    assert "ended with exit code 1" in raised.value.problem
    assert raised.value.problem.endswith("\n    the loss of step 3 is nan\n      remedy: lower learning_rate")


def test_a_silent_failure_shows_the_last_lines(tmp_path: Path) -> None:
    with pytest.raises(JobError, match=r"\n    line 99\n"):
        run_locally(job(tmp_path, "import sys\nfor i in range(100): print('line', i)\nsys.exit(3)"))


def test_wrong_settings_keep_their_exit_code(tmp_path: Path) -> None:
    with pytest.raises(JobError) as raised:
        run_locally(job(tmp_path, "import sys; sys.exit(2)"))
    assert raised.value.exit_code == 2


@pytest.mark.parametrize(("code", "temporary"), [(75, True), (1, False), (2, False), (137, False)])
def test_exit_code_75_means_that_a_failure_is_temporary(tmp_path: Path, code: int, temporary: bool) -> None:
    with pytest.raises(JobError) as raised:
        run_locally(job(tmp_path, f"import sys; sys.exit({code})"))
    assert raised.value.temporary is temporary


def test_a_job_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    program = f"import os, time; open('{tmp_path}/pid', 'w').write(str(os.getpid())); time.sleep(600)"
    with pytest.raises(JobError, match="ran longer than 3 s"):
        run_locally(job(tmp_path, program, timeout_seconds=3.0))
    assert_gone(int((tmp_path / "pid").read_text()))


def test_processes_that_a_job_leaves_running_are_ended(tmp_path: Path) -> None:
    program = (
        "import subprocess, sys\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        f"open('{tmp_path}/pid', 'w').write(str(child.pid))"
    )
    began = time.monotonic()
    run_locally(job(tmp_path, program))
    assert time.monotonic() - began < WAIT_SECONDS
    assert_gone(int((tmp_path / "pid").read_text()))


@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_job_ends_with_its_step(tmp_path: Path, sent: signal.Signals) -> None:
    program = (
        "import os, signal, sys, time\n"
        f"signal.signal(signal.SIGTERM, lambda *_: sys.exit(open('{tmp_path}/told', 'w').write('SIGTERM')))\n"
        f"open('{tmp_path}/pid', 'w').write(str(os.getpid()))\n"
        "time.sleep(600)"
    )
    (tmp_path / "job.json").write_text(job(tmp_path, program).model_dump_json())
    running = step(tmp_path)
    process = int(waited(tmp_path / "pid"))
    running.send_signal(sent)
    assert running.wait(WAIT_SECONDS) != 0
    assert waited(tmp_path / "told") == "SIGTERM"
    assert_gone(process)


def test_one_machine_is_one_node(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot run 2 nodes"):
        run_locally(job(tmp_path, "", nodes=2))


def test_torchrun_stays_on_the_loopback_device() -> None:
    launch = Launch(processes_per_node=2, cpus_per_process=3)
    training = Job(name="train-1", program="torchrun", module="components.train.methods.sft", launch=launch)
    assert "--local-addr=127.0.0.1" in command_of(training)
    assert "--nproc-per-node=2" in command_of(training)
    environment = environment_of(training)
    assert (environment["GLOO_SOCKET_IFNAME"], environment["OMP_NUM_THREADS"]) == ("lo", "3")
