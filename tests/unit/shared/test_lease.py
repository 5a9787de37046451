"""When the holder of a lease counts as dead."""

import os
import subprocess
import time

from components.shared.store import lease
from tests.deadlines import ended


def mine(**changes: object) -> lease.Lease:
    facts = {"token": "t", "host": lease.host_name(), "process": os.getpid(), "started": lease.start_of(os.getpid())}
    return lease.Lease.model_validate({**facts, "renewed": time.time(), **changes})


def test_living_process_of_this_machine() -> None:
    assert mine().is_here() and not mine().is_dead()


def test_expired_lease_is_dead_wherever_its_holder_is() -> None:
    past = time.time() - lease.LEASE_SECONDS - 1
    assert mine(renewed=past).is_dead() and mine(renewed=past, host="elsewhere").is_dead()


def test_process_that_ended() -> None:
    process = subprocess.Popen(["true"])
    ended(process)
    assert mine(process=process.pid).is_dead()


def test_process_id_that_another_process_has_now() -> None:
    assert mine(started=mine().started - 1).is_dead()


def test_process_of_another_machine_is_not_judged_by_its_id() -> None:
    assert not mine(host="elsewhere", process=1 << 22).is_dead()
