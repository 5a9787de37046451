"""Writes losses.jsonl to the store while training goes on, so that a curve can be watched and outlives a failure."""

import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any

from components.shared.errors import StoreError
from components.shared.log import say
from components.shared.store.store import Store
from components.train.engine.losses import LOSSES_FILE, as_lines, loss_records

FIRST_PAUSE_SECONDS = 0.1
"""Between two looks for the first step."""

PAUSE_SECONDS = 5.0
"""At least this long between two writes, and twenty times as long as the last one took: the file is written in full."""


class LossStream:
    """Follows the trainer's log in a thread of its own. Only the first process has one.

    Args:
        store: at the output's address.
        task: the step's name in the log.
        metrics: the method's, by the names that its trainer logs.
        pause_seconds: between two writes.
    """

    def __init__(
        self, store: Store, task: str, metrics: Mapping[str, str], pause_seconds: float = PAUSE_SECONDS
    ) -> None:
        self._store, self._task, self._metrics = store, task, metrics
        self._pause_seconds = pause_seconds
        self._history: Sequence[dict[str, Any]] = ()
        self._read, self._lines = 0, b""
        self._failed = False
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._work, name="losses", daemon=True)
        self._thread.start()

    def follow(self, log_history: Sequence[dict[str, Any]]) -> None:
        """Take note of the log, which the trainer extends step by step; after a restart it has the steps before it."""
        self._history = log_history

    def close(self) -> None:
        """Write what is left, and stop."""
        self._ended.set()
        self._thread.join()
        self._write()

    def _work(self) -> None:
        pause = FIRST_PAUSE_SECONDS
        while not self._ended.wait(pause):
            began = time.monotonic()
            self._write()
            if self._read:
                pause = max(self._pause_seconds, 20 * (time.monotonic() - began))

    def _write(self) -> None:
        new = self._history[self._read :]
        if not new:
            return
        self._read += len(new)
        self._lines += as_lines(loss_records(list(new), self._metrics))
        try:
            self._store.write(LOSSES_FILE, self._lines)
            self._failed = False
        except (StoreError, OSError) as error:
            # Training continues: the complete file is uploaded with the model.
            if not self._failed:
                say(self._task, f"{LOSSES_FILE} in the store is behind: {error}")
            self._failed = True
