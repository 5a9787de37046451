"""Asks an API server that does not answer again, for as long as a restart of it may take."""

from collections.abc import Callable
from typing import TypeVar

from components.launch.clock import Clock
from components.launch.refusals import Unreachable
from components.shared.errors import JobError
from components.shared.log import say

SILENCE_SECONDS = 600.0
FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 15.0

Answer = TypeVar("Answer")


class Patience:
    """How long the server has not answered; a silence is told once, when a second try meets it too."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._silent_since: float | None = None
        self._pause = FIRST_PAUSE_SECONDS

    def heard(self) -> None:
        """The server answered."""
        self._silent_since, self._pause = None, FIRST_PAUSE_SECONDS

    def bear(self, error: Unreachable) -> None:
        """Wait before the next try, longer each time. Raises JobError when the silence lasts too long."""
        now = self._clock.now()
        if self._silent_since is None:
            self._silent_since = now
        elif self._pause == FIRST_PAUSE_SECONDS * 2:
            say("launch", f"the API server does not answer, asking again: {error}")
        if now - self._silent_since > SILENCE_SECONDS:
            raise JobError(
                f"the API server has not answered for {SILENCE_SECONDS:.0f} s: {error}",
                remedy="run again when it does: the job, if it still runs, is then found and followed",
                temporary=True,
            ) from error
        self._clock.sleep(self._pause)
        self._pause = min(LONGEST_PAUSE_SECONDS, self._pause * 2)


def patiently(clock: Clock, ask: Callable[[], Answer]) -> Answer:
    """What the server answers in the end. Raises JobError when it does not answer for SILENCE_SECONDS."""
    patience = Patience(clock)
    while True:
        try:
            return ask()
        except Unreachable as error:
            patience.bear(error)
