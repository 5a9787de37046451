"""Real torchrun: its ranks end with it, its exit code is theirs, and it shows no traceback of its own."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from components.launch.here.local import run_locally
from components.launch.job import Job, Launch
from components.launch.kinds.pod_template import command_of
from components.shared.errors import JobError

ROOT = Path(__file__).parents[3]
WAIT_SECONDS = 120.0
LISTENERS = """
import os, pathlib
agent = pathlib.Path("/proc", str(os.getppid()))
sockets = {os.readlink(fd) for fd in (agent / "fd").iterdir() if os.path.islink(fd)}
lines = [line.split() for name in ("tcp", "tcp6") for line in (agent / "net" / name).read_text().splitlines()[1:]]
own = [line[1].partition(":")[0] for line in lines if line[3] == "0A" and f"socket:[{line[9]}]" in sockets]
os.write(1, f"listens on {sorted(set(own))}\\n".encode())  # one write: two ranks share the pipe
"""
SLEEPER = (
    "import os, time\n"
    "from components.launch.here.follow_parent import die_with_parent\n"
    "die_with_parent()\n"
    "open(f'{os.path.dirname(__file__)}/rank' + os.environ['RANK'], 'w').write(str(os.getpid()))\n"
    "time.sleep(600)"
)


def job(folder: Path, program: str) -> Job:
    (folder / "ranks.py").write_text(program)
    environment = {"PYTHONPATH": f"{folder}{os.pathsep}{ROOT}"}
    launch = Launch(processes_per_node=2, environment=environment)
    return Job(name="train-1", program="torchrun", module="ranks", launch=launch)


def alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def waited(paths: list[Path]) -> list[int]:
    deadline = time.monotonic() + WAIT_SECONDS
    while not all(path.exists() and path.read_text() for path in paths):
        assert time.monotonic() < deadline, "the ranks did not start"
        time.sleep(0.05)
    return [int(path.read_text()) for path in paths]


@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGTERM])
def test_ranks_end_with_their_step(tmp_path: Path, sent: signal.Signals) -> None:
    source = (
        "import sys; from components.launch.job import Job; from components.launch.here.local import run_locally\n"
        "run_locally(Job.model_validate_json(open(sys.argv[1]).read()))"
    )
    (tmp_path / "job.json").write_text(job(tmp_path, SLEEPER).model_dump_json())
    step = subprocess.Popen(
        [sys.executable, "-c", source, str(tmp_path / "job.json")], cwd=ROOT, stderr=subprocess.DEVNULL
    )
    ranks = waited([tmp_path / "rank0", tmp_path / "rank1"])
    step.send_signal(sent)
    assert step.wait(WAIT_SECONDS) != 0
    deadline = time.monotonic() + WAIT_SECONDS
    while any(alive(rank) for rank in ranks):
        assert time.monotonic() < deadline, "ranks outlived their step"
        time.sleep(0.05)


def test_a_rank_that_fails_shows_why_without_a_traceback(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    program = "import os, sys, time\nif os.environ['RANK'] == '1': sys.exit('[train] FAILED no rows')\ntime.sleep(600)"
    with pytest.raises(JobError, match=r"exit code 1; its last lines:\n    \[train\] FAILED no rows\n  remedy"):
        run_locally(job(tmp_path, program))
    log = capsys.readouterr().err
    assert "Traceback" not in log
    assert "ChildFailedError" not in log


def test_a_rank_that_is_killed_is_named(tmp_path: Path) -> None:
    program = "import os, time\nif os.environ['RANK'] == '1': os.kill(os.getpid(), 9)\ntime.sleep(600)"
    with pytest.raises(JobError, match=r"exit code 137.*\n.*process 1 was ended by SIGKILL"):
        run_locally(job(tmp_path, program))


def test_imports_are_shared_where_a_module_preloads(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    program = (
        "import gc, os, sys\n"
        "def preload():\n"
        "    os.environ['PRELOADED_BY'] = str(os.getpid())\n"
        "    sys.preloaded = [[] for _ in range(100)]\n"
        "if __name__ == '__main__':\n"
        "    assert os.environ['PRELOADED_BY'] == str(os.getppid())\n"
        "    collected = {id(each) for each in gc.get_objects()}\n"
        "    assert not any(id(each) in collected for each in sys.preloaded), 'a collection would copy them'\n"
        "    told = f\"rank {os.environ['RANK']} of {os.environ['WORLD_SIZE']} {sys.argv[1:]}\\n\"\n"
        "    os.write(1, told.encode())\n"
        "    sys.exit(2)"
    )
    given = job(tmp_path, program).model_copy(update={"arguments": ("--job", "x"), "preload": True})
    with pytest.raises(JobError) as raised:
        run_locally(given)
    assert raised.value.exit_code == 2
    log = capsys.readouterr().err
    assert "rank 0 of 2 ['--job', 'x']" in log or "rank 1 of 2 ['--job', 'x']" in log


def test_a_rank_that_is_ended_because_another_failed_takes_it_for_no_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A forked rank inherits torchrun's handlers, whose exception would replace the record of the first failure."""
    program = (
        "import os, sys, time\n"
        "def preload(): pass\n"
        "if __name__ == '__main__':\n"
        "    ready = os.path.join(os.path.dirname(__file__), 'ready')\n"
        "    if os.environ['RANK'] == '1':\n"
        "        while not os.path.exists(ready): time.sleep(0.05)\n"
        "        sys.exit(3)\n"
        "    try:\n"
        "        open(ready, 'w').close()\n"
        "        time.sleep(600)\n"
        "    except Exception as error:\n"
        "        os.write(1, f'FAILED {type(error).__name__}\\n'.encode())\n"
        "        raise SystemExit(1)\n"
    )
    given = job(tmp_path, program).model_copy(update={"preload": True})
    with pytest.raises(JobError, match="ended with exit code 3"):
        run_locally(given)
    assert "FAILED" not in capsys.readouterr().err


def test_nothing_listens_beyond_the_loopback_device(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_locally(job(tmp_path, LISTENERS))
    assert capsys.readouterr().err.splitlines() == ["listens on ['0100007F']"] * 2


def test_nodes_of_a_cluster_find_each_other_by_the_operators_variables(tmp_path: Path) -> None:
    """The command of a pod, twice, with the variables of Kubeflow Trainer; the rendezvous node starts last."""
    program = (
        "import os, torch, torch.distributed as dist\n"
        "def preload(): pass\n"
        "if __name__ == '__main__':\n"
        "    dist.init_process_group('gloo')\n"
        "    total = torch.tensor([dist.get_rank()])\n"
        "    dist.all_reduce(total)\n"
        "    told = f\"node {os.environ['GROUP_RANK']} sum {int(total)} of {dist.get_world_size()}\\n\"\n"
        "    os.write(1, told.encode())"  # one write: two ranks share the pipe
    )
    given = job(tmp_path, program).model_copy(update={"preload": True})
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    meeting = {
        "PET_NNODES": "2",
        "PET_NPROC_PER_NODE": "2",
        "PET_MASTER_ADDR": "127.0.0.1",
        "PET_MASTER_PORT": str(port),
        "GLOO_SOCKET_IFNAME": "lo",
    }
    nodes = {}
    for rank in ("1", "0"):
        environment = {**os.environ, **given.launch.environment, **meeting, "PET_NODE_RANK": rank}
        command = [sys.executable, *command_of(given)[1:]]
        nodes[rank] = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
        time.sleep(1.0)
    try:
        for rank, node in nodes.items():
            told, _ = node.communicate(timeout=WAIT_SECONDS)
            assert told.splitlines() == [f"node {rank} sum 6 of 4"] * 2
            assert node.returncode == 0
    finally:
        for node in nodes.values():
            node.kill()
