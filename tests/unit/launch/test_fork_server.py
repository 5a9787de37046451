"""Programs forked from a warm process behave like those that `python -m` starts."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from components.launch.here.fork_server import ForkedProcess, ForkedProgram, ForkServer, forking_jobs, job_server
from components.launch.here.local import run_locally
from components.launch.job import Job, Launch
from tests.deadlines import ended, next_line

SECONDS = 60.0
ROOT = Path(__file__).parents[3]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for modules, which are imported by their names."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), str(ROOT)]))
    return tmp_path


@pytest.fixture
def server(folder: Path) -> Iterator[ForkServer]:
    forks = ForkServer(libraries=("slow_library",))
    yield forks
    forks.close()


@pytest.fixture
def apart(folder: Path) -> Iterator[ForkServer]:
    """A server in a new interpreter."""
    forks = ForkServer(libraries=("slow_library",), new_interpreter=True)
    yield forks
    forks.close()


def start(server: ForkServer, folder: Path, code: str, *arguments: str, **environment: str) -> ForkedProcess:
    (folder / "made_up.py").write_text(code)
    return server.start(ForkedProgram("made_up", arguments, {**os.environ, **environment}, own_session=True))


def printed(process: ForkedProcess) -> str:
    with process.stdout as lines:
        return lines.read()


def test_a_program_gets_its_arguments_and_environment_alone(server: ForkServer, folder: Path) -> None:
    code = (
        "import json, os, sys\n"
        "if __name__ == '__main__': print(json.dumps([sys.argv[1:], os.environ.get('GIVEN'), sys.stdin.read()]))"
    )
    process = start(server, folder, code, "--job", "x", GIVEN="yes")
    assert json.loads(printed(process)) == [["--job", "x"], "yes", ""]
    assert process.wait(SECONDS) == 0
    assert "GIVEN" not in os.environ


def test_threads_of_a_program_may_begin_with_torch_at_once(folder: Path) -> None:
    """Threads that load a model are the first to compute: torch's pool has been renewed by then."""
    code = (
        "import threading, torch\n"
        "begin = threading.Event()\n"
        "def work():\n"
        "    while not begin.is_set(): pass\n"
        "    torch.zeros(1 << 16)\n"
        "threads = [threading.Thread(target=work) for _ in range(4)]\n"
        "for thread in threads: thread.start()\n"
        "begin.set()\n"
        "for thread in threads: thread.join()\n"
    )
    warm = (
        "import os, sys, torch\n"
        "from components.launch.here.fork_server import ForkedProgram, ForkServer\n"
        "torch.set_num_threads(16), torch.get_num_threads()\n"  # so that renewing takes long enough to be disturbed
        "server = ForkServer()\n"
        "for _ in range(20):\n"
        "    forked = server.start(ForkedProgram('made_up', (), dict(os.environ)))\n"
        "    sys.stdout.write(forked.stdout.read())\n"
        "    forked.wait()\n"
    )
    (folder / "made_up.py").write_text(code)
    environment = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    ended = subprocess.run(
        [sys.executable, "-c", warm], env=environment, capture_output=True, text=True, timeout=SECONDS, check=False
    )
    assert (ended.stdout, ended.stderr, ended.returncode) == ("", "", 0)


@pytest.mark.parametrize(
    ("code", "exit_code", "said"),
    [
        ("raise SystemExit(3)", 3, ""),
        ("import sys; sys.exit('no model')", 1, "no model"),
        ("raise ValueError('unexpected')", 1, "ValueError: unexpected"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", -9, ""),
        ("import atexit; atexit.register(print, 'left tidy')", 0, "left tidy"),
        (
            "import threading, time; threading.Thread(target=lambda: (time.sleep(0.1), print('late'))).start()",
            0,
            "late",
        ),
    ],
)
def test_a_program_ends_as_an_interpreter_would(
    server: ForkServer, folder: Path, code: str, exit_code: int, said: str
) -> None:
    process = start(server, folder, code)
    assert said in printed(process)
    assert process.wait(SECONDS) == exit_code


def test_a_failed_program_does_not_end_the_server(server: ForkServer, folder: Path) -> None:
    for _ in range(2):
        process = start(server, folder, "raise SystemExit(1)")
        printed(process)
        assert process.wait(SECONDS) == 1


def test_a_library_that_a_program_has_loaded_is_imported_once_more_and_then_shared(
    server: ForkServer, folder: Path
) -> None:
    (folder / "slow_library.py").write_text("import os; print('imported by', os.getpid(), flush=True)")
    (folder / "other_library.py").write_text("import os; print('imported by', os.getpid(), flush=True)")
    outputs = [printed(start(server, folder, "import slow_library")) for _ in range(2)]
    assert [text.count("imported by") for text in outputs] == [1, 0]
    outputs = [printed(start(server, folder, "import other_library")) for _ in range(2)]
    assert [text.count("imported by") for text in outputs] == [1, 1], "only the named libraries are kept"


def test_collections_of_a_program_leave_out_what_the_server_has_loaded(server: ForkServer, folder: Path) -> None:
    """A collection that visited shared objects would copy their pages into the program."""
    (folder / "slow_library.py").write_text("held = [[] for _ in range(1000)]")
    code = (
        "import gc, slow_library\n"
        "visited = {id(each) for each in gc.get_objects()}\n"
        "print(sum(id(each) in visited for each in slow_library.held))\n"
    )
    outputs = [printed(start(server, folder, code)).strip() for _ in range(2)]
    assert outputs == ["1000", "0"], "the program's own are collected, the shared ones are not"


def test_a_new_interpreter_shares_nothing_but_the_libraries_of_its_programs(apart: ForkServer, folder: Path) -> None:
    (folder / "slow_library.py").write_text("import os; print('imported by', os.getpid(), flush=True)")
    code = "import os, sys, slow_library; print('pytest' in sys.modules, os.getppid())"
    outputs = [printed(start(apart, folder, code)) for _ in range(2)]
    assert [text.count("imported by") for text in outputs] == [1, 0]
    assert {text.splitlines()[-1] for text in outputs} == {f"False {apart.pid}"}


def test_jobs_are_forked_by_a_server_that_stays_open(
    apart: ForkServer, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "made_up.py").write_text("import os; print('parent', os.getppid())")
    for _ in range(2):
        with forking_jobs(apart):
            run_locally(Job(name="synthesize-1", program="ray", module="made_up", launch=Launch()))
        assert capsys.readouterr().err == f"parent {apart.pid}\n"
    assert job_server() is None


def test_a_program_can_be_terminated(server: ForkServer, folder: Path) -> None:
    process = start(server, folder, "import time; print('started', flush=True); time.sleep(600)")
    assert next_line(process.stdout) == "started\n"
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.01)
    assert process.poll() is None
    os.killpg(process.pid, signal.SIGTERM)
    assert process.wait(SECONDS) == -signal.SIGTERM


def runs(process: Path) -> bool:
    """Whether a process in /proc runs; one that has ended may be a zombie until its new parent reaps it."""
    try:
        return (process / "stat").read_text().rpartition(")")[2].split()[0] not in {"Z", "X"}
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.parametrize("new_interpreter", [False, True])
def test_no_program_outlives_the_process_that_started_its_server(folder: Path, new_interpreter: bool) -> None:
    (folder / "made_up.py").write_text("import time; time.sleep(600)")
    code = (
        "import os, sys, time\n"
        "from components.launch.here.fork_server import ForkServer, ForkedProgram\n"
        f"server = ForkServer(new_interpreter={new_interpreter})\n"
        "process = server.start(ForkedProgram('made_up', (), dict(os.environ), own_session=True))\n"
        "print(process.pid, flush=True)\n"
        "time.sleep(600)"
    )
    owner = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    program = Path("/proc") / next_line(owner.stdout).strip()
    assert program.exists()
    owner.kill()
    ended(owner)
    deadline = time.monotonic() + SECONDS
    while runs(program) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not runs(program)
