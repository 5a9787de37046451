"""One writer at an address: a lease object made with a conditional put.

A lease is renewed while its holder works. Another writer takes it over when it has not been renewed for LEASE_SECONDS,
or immediately when its holder was a process of this machine that has exited (a run after kill -9 continues at once).

The takeover itself is done under a lease, named after the expired one, so that exactly one of several writers wins. A
holder that was suspended past its lease finds that it lost it: `Held.require` raises before the output is completed.
"""

import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from components.shared.errors import ExistsError, LeaseError, NotFoundError, StoreError
from components.shared.log import say
from components.shared.store.store import Store

LEASE = "lease.json"
LEASE_SECONDS = 90.0
RENEW_SECONDS = 20.0
POLL_SECONDS = 1.0
UNREADABLE = "unreadable"
DEAD_STATES = ("Z", "X")


class Lease(BaseModel):
    """The holder of an address; `renewed` is in seconds since the epoch, `started` in the kernel's ticks since boot."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    token: str
    host: str
    process: int
    started: int = 0
    renewed: float

    @property
    def machine(self) -> str:
        """The holder's machine, for people."""
        return self.host.split("/", maxsplit=1)[0]

    def is_here(self) -> bool:
        """Whether the holder is, or was, a process in this PID namespace."""
        return self.host == host_name()

    def is_dead(self) -> bool:
        """Whether the holder has certainly exited, or its lease has expired."""
        lapsed = time.time() - self.renewed > LEASE_SECONDS
        return lapsed or (self.is_here() and start_of(self.process) != self.started)


def host_name() -> str:
    """Identifies the PID namespace: this machine, since its last boot, in this container."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{socket.gethostname()}/{boot}/{Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return f"{socket.gethostname()}/{uuid.getnode():x}"


def start_of(process: int) -> int:
    """When a process started, in ticks since boot; -1 when it has exited, 0 on systems without /proc."""
    try:
        # The name, in parentheses, may contain anything; after it, field 1 is the state and field 20 the start.
        facts = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return -1 if Path("/proc/self/stat").exists() else 0
    return -1 if facts[0] in DEAD_STATES else int(facts[19])


class Held:
    """A lease while it is held."""

    def __init__(self, store: Store, lease: Lease) -> None:
        self._store, self._lease = store, lease

    def require(self) -> None:
        """Make sure that the lease is still ours. Raises LeaseError when another writer took it over."""
        if not self.is_ours():
            raise LeaseError(
                f"{self._store.uri} was taken over by another writer because this one did not renew its lease",
                rule=f"a lease that is not renewed for {LEASE_SECONDS:.0f} s can be taken over",
                remedy="wait for the other writer; the next run then finds its output",
                temporary=True,
            )

    def is_ours(self) -> bool:
        """Whether the lease in the store is still this one."""
        present = _read(self._store, LEASE)
        return present is not None and present.token == self._lease.token

    def renew(self) -> None:
        """Renew the lease, unless it was taken over."""
        if self.is_ours():
            _write(self._store, LEASE, self._lease)

    def release(self) -> None:
        """Release the lease, unless it was taken over."""
        if self.is_ours():
            self._store.delete(LEASE)


@contextmanager
def hold(store: Store, wait_seconds: float = 0.0) -> Iterator[Held]:
    """Hold the lease of the store's root while the block runs.

    A holder on another machine, which may have exited, is watched until its lease is renewed or expires.

    Raises:
        LeaseError: another live writer holds it and did not release it within `wait_seconds`.
    """
    process = os.getpid()
    lease = Lease(
        token=uuid.uuid4().hex, host=host_name(), process=process, started=start_of(process), renewed=time.time()
    )
    _acquire(store, lease, wait_seconds)
    held, ended = Held(store, lease), threading.Event()
    renewer = threading.Thread(target=_keep, args=(held, ended), daemon=True)
    renewer.start()
    try:
        yield held
    finally:
        ended.set()
        renewer.join()
        _quietly(held.release, "released")


def is_held(store: Store) -> bool:
    """Whether a writer that may be running holds the lease of the store's root."""
    holder = _read(store, LEASE)
    return holder is not None and not holder.is_dead()


def _acquire(store: Store, lease: Lease, wait_seconds: float) -> None:
    deadline, pause = time.monotonic() + wait_seconds, POLL_SECONDS
    first, watched = None, False
    while (holder := _claim(store, LEASE, lease)) is not None:
        if holder.is_dead():
            # It exited, or another writer took over, in the meantime: try again.
            continue
        if first is None or first.token != holder.token:
            first, watched = holder, False
        if (holder.is_here() or holder.renewed > first.renewed) and time.monotonic() >= deadline:
            raise LeaseError(
                f"{store.uri} is being written by process {holder.process} on {holder.machine}",
                rule="one writer at an address",
                remedy=f"wait for it to end; the lease of a writer that has exited expires after {LEASE_SECONDS:.0f} s",
                temporary=True,
            )
        if not watched:
            watched = True
            say("store", f"{store.uri}: process {holder.process} on {holder.machine} holds the lease; waiting for it")
        time.sleep(pause)
        # Back off: a wait may take hours.
        pause = min(pause * 1.1, RENEW_SECONDS)


def _claim(store: Store, key: str, lease: Lease) -> Lease | None:
    """Acquire the lease at `key` if it is free or its holder is dead. None: acquired; else the holder."""
    holder = _try(store, key, lease)
    if holder is None or not holder.is_dead():
        return holder
    takeover = f"{key}.after-{holder.token}"
    rival = _claim(store, takeover, lease)
    if rival is not None:
        return rival
    try:
        present = _read(store, key)
        if present is None or present.token != holder.token:
            # Another writer took over first.
            return present or holder
        say("store", f"{store.uri}: taking over from process {holder.process} on {holder.machine}, which has exited")
        _write(store, key, lease)
        return None
    finally:
        store.delete(takeover)


def _try(store: Store, key: str, lease: Lease) -> Lease | None:
    """Put the lease. None: acquired; else the holder."""
    while True:
        try:
            store.write(key, _packed(lease), only_if_absent=True)
            return None
        except ExistsError:
            holder = _read(store, key)
        if holder is not None:
            # Ours: the client repeated a put whose response was lost.
            return None if holder.token == lease.token else holder


def _read(store: Store, key: str) -> Lease | None:
    try:
        data = store.read(key)
    except NotFoundError:
        return None
    try:
        return Lease.model_validate_json(data)
    except ValidationError:
        # Not written by this version, so nobody renews it: it counts as expired.
        return Lease(token=UNREADABLE, host="unknown", process=0, renewed=0.0)


def _write(store: Store, key: str, lease: Lease) -> None:
    store.write(key, _packed(lease))


def _packed(lease: Lease) -> bytes:
    return lease.model_copy(update={"renewed": time.time()}).model_dump_json().encode()


def _keep(held: Held, ended: threading.Event) -> None:
    while not ended.wait(RENEW_SECONDS):
        _quietly(held.renew, "renewed")


def _quietly(action: Callable[[], None], done: str) -> None:
    """Log a failure instead of raising it: the next renewal may succeed, and an expired lease is taken over."""
    try:
        action()
    except StoreError as error:
        say("store", f"lease not {done}: {error.problem}")
