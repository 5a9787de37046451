"""Slots: at most so many jobs of a group at a time; one whose holder died is free again."""

import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from components.launch.slots import JobSlots, slot
from components.shared.store.folder import FolderStore
from tests.deadlines import next_line

DEADLINE = 60.0
HOLD = """
import sys, time
from components.launch.slots import JobSlots, slot
from components.shared.store.folder import FolderStore
with slot(FolderStore(sys.argv[1]), JobSlots(group="it", count=1), "other"):
    print("held", flush=True)
    time.sleep(600)
"""


def test_at_most_two_of_five_run_at_a_time(tmp_path: Path) -> None:
    store, slots = FolderStore(tmp_path), JobSlots(group="it", count=2)
    guard, running, most, done = threading.Lock(), 0, 0, 0

    def work() -> None:
        nonlocal running, most, done
        with slot(store, slots, "job", 0.02):
            with guard:
                running += 1
                most = max(most, running)
            time.sleep(0.1)
            with guard:
                running, done = running - 1, done + 1

    threads = [threading.Thread(target=work) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DEADLINE)
    assert (most, done) == (2, 5)


def test_without_slots_nothing_is_held(tmp_path: Path) -> None:
    with slot(FolderStore(tmp_path), None, "job"):
        assert list(tmp_path.rglob("*")) == []


def test_the_slot_of_a_dead_process_is_free_again(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as other:
        assert next_line(other.stdout) == "held\n"
        waiting = threading.Thread(target=lambda: _hold(tmp_path), daemon=True)
        waiting.start()
        deadline = time.monotonic() + DEADLINE
        while "waits for one of the 1 slot of it" not in capfd.readouterr().err:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert waiting.is_alive()
        other.kill()
    waiting.join(DEADLINE)
    assert not waiting.is_alive()


def _hold(folder: Path) -> None:
    with slot(FolderStore(folder), JobSlots(group="it", count=1), "job", 0.05):
        pass
