"""Tests wait for other processes and threads with a deadline: the helper enforces it; no test waits without it."""

import ast
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.deadlines import ended, joined, line_with, next_line, rest_of

TESTS = Path(__file__).parents[1]
APART = {TESTS / "deadlines.py", TESTS / "cluster" / "kubeflow" / "pod_program.py"}
"""The helper, and a program that a pod runs, which has its own limits."""
SILENT = "import time; time.sleep(30)"
Child = subprocess.Popen[str]


@pytest.fixture
def silent() -> Iterator[Child]:
    """A child that prints nothing for longer than any test waits."""
    process = subprocess.Popen(
        [sys.executable, "-c", SILENT], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    yield process
    process.kill()
    process.communicate(timeout=10)


def test_a_silent_child_fails_the_test_in_time(silent: Child) -> None:
    began = time.monotonic()
    with pytest.raises(pytest.fail.Exception, match="no line came within"):
        next_line(silent.stdout, 0.1)
    with pytest.raises(pytest.fail.Exception, match="never said 'ready' within"):
        line_with(silent.stderr, "ready", 0.1)
    assert time.monotonic() - began < 5


@pytest.mark.parametrize("wait", [ended, rest_of])
def test_a_child_that_does_not_end_is_killed(silent: Child, wait: type) -> None:
    with pytest.raises(pytest.fail.Exception, match="has not ended after"):
        wait(silent, 0.1)
    assert silent.wait(10) < 0


def test_lines_that_came_together_are_read_one_by_one() -> None:
    program = "print('one\\ntwo\\nthree', flush=True)"
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as process:
        assert [next_line(process.stdout) for _ in range(3)] == ["one\n", "two\n", "three\n"]
        assert next_line(process.stdout) == "", "its end"


def test_a_child_that_ends_without_the_words_fails_the_test() -> None:
    process = subprocess.Popen([sys.executable, "-c", "print('other')"], stdout=subprocess.PIPE, text=True)
    with pytest.raises(pytest.fail.Exception, match="ended without saying 'ready'"):
        line_with(process.stdout, "ready")
    rest_of(process)


def test_a_thread_that_does_not_end_fails_the_test() -> None:
    go = threading.Event()
    thread = threading.Thread(target=go.wait, args=(30,), daemon=True)
    thread.start()
    with pytest.raises(pytest.fail.Exception, match="has not ended"):
        joined(thread, seconds=0.05)
    go.set()
    joined(thread)


def endless(call: ast.Call) -> bool:
    """Whether a call may wait for another process or thread indefinitely."""
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    limited = any(keyword.arg in {"timeout", None} for keyword in call.keywords)
    if name == "readline":
        return True
    if name in {"wait", "join", "communicate", "acquire"} and isinstance(call.func, ast.Attribute):
        return not limited and not call.args
    if name == "urlopen":
        return not limited
    return False


def over_a_pipe(node: ast.AST) -> bool:
    """Whether a loop reads a child's output line by line."""
    return isinstance(node, ast.For) and isinstance(node.iter, ast.Attribute) and node.iter.attr in {"stdout", "stderr"}


@pytest.mark.parametrize(
    "path", sorted(set(TESTS.rglob("*.py")) - APART), ids=lambda path: str(path.relative_to(TESTS))
)
def test_no_test_waits_indefinitely(path: Path) -> None:
    nodes = list(ast.walk(ast.parse(path.read_text())))
    found = [node.lineno for node in nodes if isinstance(node, ast.Call) and endless(node)]
    found += [node.lineno for node in nodes if isinstance(node, ast.For) and over_a_pipe(node)]
    assert not found, f"lines {found}: wait with tests/deadlines.py, or with a timeout"
