"""The script that every change must pass: what runs when, what runs beside what, and what a failure ends."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
MAKE = """
import os, sys, time
from pathlib import Path
log = Path("log")
target = next(word for word in reversed(sys.argv) if word.startswith(("test-", "lint", "cluster-", "install")))
tests = next((word for word in sys.argv if word.startswith("TESTS=")), "")
def say(what):
    with log.open("a") as lines:
        lines.write(f"{what} {target} {os.nice(0)} {tests}".strip() + "\\n")
say("begin")
deadline = time.monotonic() + 60
while (wanted := os.environ.get("WAITS_" + target.replace("-", "_"), "")) not in log.read_text():
    if time.monotonic() > deadline:
        sys.exit(f"waited for {wanted!r} in vain")
    time.sleep(0.01)
say("end")
sys.exit(target in os.environ.get("FAILS", "").split())
"""
"""In place of make: logs the target, waits for a line of the log where it shall, and fails where it shall."""
GROUPS = """
import os, sys
match sys.argv[1:]:
    case ["parts", group]:
        print("" if group in os.environ.get("LEFT_OUT", "").split() else f"tests/{group}/a tests/{group}/b")
    case ["passed", group, *parts]:
        open("passed", "a").write(" ".join(parts) + "\\n")
"""
CLUSTER = ["test-cluster-alone", "test-cluster-shared"]

Run = Callable[..., tuple[int, str, list[str]]]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Run the script as root on a machine that can have a node; its exit code, what it prints, and the log."""
    (tmp_path / "checkout" / ".ci").mkdir(parents=True)
    shutil.copy(ROOT / ".ci" / "run", tmp_path / "checkout" / ".ci")
    programs = {"make": MAKE, "id": "print(0)", "go": "", "containerd": ""}
    for folder, files in {"bin": programs, "checkout/.ci": {"groups.py": GROUPS, "packages": ""}}.items():
        (tmp_path / folder).mkdir(exist_ok=True)
        for name, code in files.items():
            (tmp_path / folder / name).write_text(f"#!{sys.executable} -S\n{code}")
            (tmp_path / folder / name).chmod(0o755)

    def ended(**variables: str) -> tuple[int, str, list[str]]:
        environment = {"PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}", "TUTELAGE_TEST_DATA": "/data", **variables}
        done = subprocess.run(
            [tmp_path / "checkout/.ci/run"], env=environment, capture_output=True, text=True, timeout=110
        )
        log = (tmp_path / "checkout" / "log").read_text().splitlines()
        return done.returncode, done.stdout + done.stderr, log

    return ended


def passed(folder: Path) -> list[str]:
    """The groups that were remembered."""
    return (folder / "checkout" / "passed").read_text().split()


def order(log: list[str], what: str = "begin") -> list[str]:
    """The targets with tests, in the order in which they began or ended."""
    lines = [line.split()[:2] for line in log]
    return [target for said, target in lines if said == what and target.startswith(("lint", "test-"))]


def test_what_computes_runs_beside_what_waits_and_leaves_it_the_processors(run: Run, tmp_path: Path) -> None:
    code, printed, log = run(WAITS_test_cluster_alone="end test-image-programs")
    assert code == 0, printed
    computing = ["test-integration", "test-serving", "test-image-contents", "test-image-programs"]
    began = order(log)
    assert began[:2] == ["lint", "test-quick"] and began[-1] == "test-cluster-shared"
    assert [target for target in began[2:-1] if target != "test-cluster-alone"] == computing
    assert order(log, "end")[-2:] == CLUSTER
    niceness = {target: int(nice) for _, target, nice, *_ in map(str.split, log)}
    own = niceness["test-quick"]
    assert {name for name, nice in niceness.items() if nice > own} == ({*computing} if own < 19 else set())
    assert len(passed(tmp_path)) == 2 * 7 and "beside others" in printed and "all: " in printed


def test_the_shared_cluster_is_one_of_which_nothing_was_stopped(run: Run) -> None:
    _, _, log = run()
    targets = [line.split()[1] for line in log if line.startswith("begin")]
    between = targets[targets.index("test-image-programs") : targets.index("test-cluster-shared")]
    assert "cluster-down" in between
    assert targets[-1] == "cluster-down"


def test_a_group_that_passed_before_is_left_out(run: Run, tmp_path: Path) -> None:
    code, printed, log = run(LEFT_OUT="integration cluster-alone")
    assert code == 0, printed
    assert "test-integration" not in order(log) and "test-cluster-alone" not in order(log)
    assert order(log)[-1] == "test-cluster-shared"
    assert "tests/integration/a" not in passed(tmp_path) and "beside" not in printed


def test_a_command_gets_the_parts_that_have_to_run(run: Run) -> None:
    _, _, log = run()
    began = [line.split(maxsplit=3) for line in log if line.startswith("begin test-")]
    assert {target: tests for _, target, _, tests in began} == {
        f"test-{group}": f"TESTS=tests/{group}/a tests/{group}/b"
        for group in (
            *("quick", "integration", "serving"),
            *("image-contents", "image-programs", "cluster-alone", "cluster-shared"),
        )
    }


def test_a_failure_ends_the_run_and_what_runs_beside(run: Run, tmp_path: Path) -> None:
    code, printed, log = run(
        FAILS="test-serving", WAITS_test_cluster_alone="never", WAITS_test_integration="begin test-cluster-alone"
    )
    assert code != 0
    assert order(log)[-1] == "test-serving" and "end test-cluster-alone" not in "\n".join(log), printed
    assert passed(tmp_path) == ["tests/quick/a", "tests/quick/b", "tests/integration/a", "tests/integration/b"]
    assert log[-1].startswith("end cluster-down")


def test_a_failure_of_what_runs_beside_ends_the_run_before_the_next_group(run: Run, tmp_path: Path) -> None:
    code, printed, log = run(FAILS="test-cluster-alone", WAITS_test_integration="end test-cluster-alone")
    assert code != 0, printed
    assert "test-image-programs" not in order(log), "at the latest after the group that follows"
    assert "tests/cluster-alone/a" not in passed(tmp_path)
