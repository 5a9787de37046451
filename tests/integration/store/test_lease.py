"""One writer at an address, also when writers are killed, suspended, or concurrent."""

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from components.shared.errors import LeaseError
from components.shared.outputs.library import Library
from components.shared.outputs.output import Output
from components.shared.rows import Rejected
from components.shared.settings import Settings
from components.shared.step import Product
from components.shared.store import lease
from components.shared.store.open_store import open_store
from components.shared.store.store import Store
from tests.deadlines import SECONDS, ended, joined, next_line

HOLDER = """
import sys, time
from components.shared.store.lease import hold
from components.shared.store.open_store import open_store
with hold(open_store(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def holder(root: str) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the lease."""
    command = [sys.executable, "-c", HOLDER, root]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[3])
    try:
        assert next_line(process.stdout) == "held\n"
        yield process
    finally:
        process.kill()
        ended(process)


def foreign(token: str = "theirs", age: float = 0.0) -> lease.Lease:
    """The lease of a process on another machine, renewed so many seconds ago."""
    return lease.Lease(token=token, host="elsewhere/boot", process=1, started=1, renewed=time.time() - age)


def put(store: Store, held: lease.Lease, key: str = lease.LEASE) -> None:
    store.write(key, held.model_dump_json().encode())


def names(store: Store) -> list[str]:
    return [entry.key for entry in store.list()]


def test_lease_is_there_only_while_held(store: Store) -> None:
    with lease.hold(store) as held:
        assert names(store) == [lease.LEASE]
        held.require()
    assert names(store) == []
    with pytest.raises(ZeroDivisionError), lease.hold(store):
        _ = 1 / 0
    assert names(store) == [], "a failed writer releases it"


def test_second_writer_is_refused(store: Store, holder: subprocess.Popen[str]) -> None:
    with pytest.raises(LeaseError) as caught, lease.hold(store):
        pytest.fail("two writers")
    assert f"process {holder.pid}" in caught.value.problem and "wait" in caught.value.remedy


def test_lease_of_a_killed_holder_is_taken_over_at_once(store: Store, holder: subprocess.Popen[str]) -> None:
    holder.kill()
    # Not waited for: a killed process whose parent does not reap it stays in the process table as a zombie.
    deadline = time.monotonic() + 10
    while lease.start_of(holder.pid) != -1 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert holder.returncode is None
    began = time.monotonic()
    with lease.hold(store) as held:
        held.require()
    assert time.monotonic() - began < 10
    assert names(store) == []


def test_one_of_many_writers_takes_over(root: str, holder: subprocess.Popen[str]) -> None:
    holder.kill()
    ended(holder)
    together, most, failed, gate, lock = 0, 0, [], threading.Barrier(6), threading.Lock()

    def take() -> None:
        nonlocal together, most
        gate.wait(SECONDS)
        try:
            with lease.hold(open_store(root), wait_seconds=60):
                with lock:
                    together += 1
                    most = max(most, together)
                time.sleep(0.05)
                with lock:
                    together -= 1
        except LeaseError as error:
            failed.append(error)

    threads = [threading.Thread(target=take) for _ in range(6)]
    for thread in threads:
        thread.start()
    joined(*threads)
    assert most == 1 and not failed
    assert names(open_store(root)) == []


def test_late_takeover_does_not_remove_a_fresh_lease(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both see the dead lease; the second goes on only after the first has taken over."""
    dead = foreign("dead", age=1000)
    put(store, foreign("winner"))
    monkeypatch.setattr(lease, "_try", _first_sees(dead, lease._try))
    mine = foreign("mine")
    found = lease._claim(store, lease.LEASE, mine)
    assert found is not None and found.token == "winner"
    assert lease.Lease.model_validate_json(store.read(lease.LEASE)).token == "winner"
    assert names(store) == [lease.LEASE], "the lease of the takeover is gone"


def _first_sees(dead: lease.Lease, then: object) -> object:
    seen: list[lease.Lease] = [dead]

    def look(store: Store, key: str, mine: lease.Lease) -> lease.Lease | None:
        return seen.pop() if seen else then(store, key, mine)  # type: ignore[operator]

    return look


def test_writer_killed_during_a_takeover(store: Store) -> None:
    put(store, foreign("dead", age=1000))
    put(store, foreign("dead-taker", age=1000), f"{lease.LEASE}.after-dead")
    with lease.hold(store) as held:
        held.require()
        assert names(store) == [lease.LEASE]
    assert names(store) == []


def test_expired_lease_of_another_machine(store: Store) -> None:
    put(store, foreign(age=lease.LEASE_SECONDS + 1))
    with lease.hold(store) as held:
        held.require()


def test_silent_holder_of_another_machine_is_watched_until_its_lease_expires(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A retried pod comes back under another name within the lease's time: it waits instead of failing."""
    monkeypatch.setattr(lease, "POLL_SECONDS", 0.05)
    put(store, foreign(age=lease.LEASE_SECONDS - 1))
    began = time.monotonic()
    with lease.hold(store) as held:
        held.require()
    assert 0.5 < time.monotonic() - began < 10


def test_living_holder_of_another_machine_is_noticed(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "POLL_SECONDS", 0.05)
    put(store, foreign(age=30))
    renewed = threading.Timer(0.3, put, (store, foreign()))
    renewed.start()
    with pytest.raises(LeaseError, match="elsewhere"), lease.hold(store):
        pytest.fail("two writers")
    joined(renewed)


def test_renewal_keeps_a_long_writer(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "RENEW_SECONDS", 0.05)
    with lease.hold(store):
        first = lease.Lease.model_validate_json(store.read(lease.LEASE)).renewed
        deadline = time.monotonic() + 10
        while lease.Lease.model_validate_json(store.read(lease.LEASE)).renewed == first:
            assert time.monotonic() < deadline, "never renewed"
            time.sleep(0.02)


def test_writer_suspended_past_its_lease_completes_nothing(
    root: str, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "RENEW_SECONDS", 0.05)
    output = Output(Library(root), Product("step", 1, Rejected.content), Settings(), {})
    with pytest.raises(LeaseError, match="taken over"), output.writing():
        output.write_rows("rows/00000", [Rejected(source="s", line=1, reason="r")])
        put(output.store, foreign("taker"))
        time.sleep(0.3)
        output.finish()
    assert output.manifest() is None
    assert lease.Lease.model_validate_json(output.store.read(lease.LEASE)).token == "taker", "not ours to remove"


def test_unreadable_lease_does_not_block(store: Store) -> None:
    store.write(lease.LEASE, b"{}")
    with lease.hold(store) as held:
        held.require()


def test_put_that_was_sent_twice_is_ours(store: Store) -> None:
    """The response to a conditional put is lost; the client repeats it and finds its own object."""
    mine = foreign("mine")
    put(store, mine)
    assert lease._claim(store, lease.LEASE, mine) is None


def test_store_that_fails_for_a_while_does_not_end_the_writer(
    root: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from components.shared.errors import StoreError

    monkeypatch.setattr(lease, "RENEW_SECONDS", 0.02)
    real, faults = lease._write, [StoreError("s3://bucket/lease.json: out of order")] * 2

    def write(*arguments: object) -> None:
        if faults:
            raise faults.pop()
        real(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(lease, "_write", write)
    with lease.hold(open_store(root)) as held:
        deadline = time.monotonic() + 10
        while faults and time.monotonic() < deadline:
            time.sleep(0.02)
        time.sleep(0.1)
        held.require()
    assert "lease not renewed: s3://bucket/lease.json: out of order" in capsys.readouterr().err
