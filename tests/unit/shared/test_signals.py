"""SIGTERM ends work with an exception of the caller's choice, once, and the cleanup is not interrupted."""

import os
import signal
import subprocess
import threading
from collections.abc import Iterator

import pytest

from components.shared.process.signals import Terminated, sigterm_raises


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    """pytest's own handler, whatever a test leaves behind."""
    previous = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, previous)


def terminate() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


def test_the_second_sigterm_does_not_interrupt_the_cleanup() -> None:
    cleaned = []
    with pytest.raises(Terminated):
        try:
            with sigterm_raises():
                terminate()
        finally:
            terminate()
            cleaned.append(True)
    assert cleaned == [True]


def test_programs_that_the_cleanup_starts_can_be_terminated() -> None:
    with pytest.raises(Terminated), sigterm_raises():
        terminate()
    sleeper = subprocess.Popen(["sleep", "60"])
    sleeper.terminate()
    assert sleeper.wait(5) == -signal.SIGTERM


def test_the_caller_chooses_the_exception() -> None:
    with pytest.raises(SystemExit) as ended, sigterm_raises(lambda: SystemExit(143)):
        terminate()
    assert ended.value.code == 143


def test_without_a_sigterm_the_previous_handler_is_restored() -> None:
    previous = signal.getsignal(signal.SIGTERM)
    with sigterm_raises():
        assert signal.getsignal(signal.SIGTERM) is not previous
    assert signal.getsignal(signal.SIGTERM) is previous


def test_in_another_thread_nothing_is_changed() -> None:
    seen = []

    def work() -> None:
        before = signal.getsignal(signal.SIGTERM)
        with sigterm_raises():
            seen.append(signal.getsignal(signal.SIGTERM) is before)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(5)
    assert seen == [True]
