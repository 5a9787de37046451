"""How long passes take, without waiting for a GPU."""

# ruff: noqa: TID253 - imported by the job's own program only

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch


class PassClock:
    """Adds up how long passes take; on a GPU by events, so that nothing waits for it."""

    def __init__(self) -> None:
        self._seconds = 0.0
        self._events: list[tuple[Any, Any]] = []
        self._began: Any = None

    @contextmanager
    def running(self) -> Iterator[None]:
        """Time what is inside."""
        self.start()
        yield
        self.stop()

    def start(self) -> None:
        """Time what follows."""
        if torch.cuda.is_available():
            self._began = _event()
            self._began.record()
        else:
            self._began = time.perf_counter()

    def stop(self) -> None:
        """Time no more; nothing where it was not started."""
        if self._began is None:
            return
        if torch.cuda.is_available():
            ended = _event()
            ended.record()
            self._events.append((self._began, ended))
        else:
            self._seconds += time.perf_counter() - self._began
        self._began = None

    def take(self) -> float:
        """The seconds since the last call."""
        if self._events:
            self._events[-1][1].synchronize()
            self._seconds += sum(began.elapsed_time(ended) for began, ended in self._events) / 1000
        found, self._seconds, self._events = self._seconds, 0.0, []
        return found


def _event() -> Any:
    return torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]  # torch's own
