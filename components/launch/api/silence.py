"""Retries requests to an API server that does not answer, for as long as a restart of it may take."""

from collections.abc import Callable
from typing import TypeVar

from components.launch.api.clock import Clock
from components.launch.api.refusals import Unreachable
from components.shared.errors import JobError
from components.shared.log import say

SILENCE_SECONDS = 600.0
FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 15.0

Answer = TypeVar("Answer")


class ServerSilence:
    """How long the server has not answered. It is logged once, when the second try fails too."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._silent_since: float | None = None
        self._pause = FIRST_PAUSE_SECONDS

    def end(self) -> None:
        """The server has answered."""
        self._silent_since, self._pause = None, FIRST_PAUSE_SECONDS

    def wait(self, error: Unreachable) -> None:
        """Wait before the next try, longer each time. Raises JobError after SILENCE_SECONDS."""
        now = self._clock.now()
        if self._silent_since is None:
            self._silent_since = now
        elif self._pause == FIRST_PAUSE_SECONDS * 2:
            say("launch", f"the API server does not answer, trying again: {error}")
        if now - self._silent_since > SILENCE_SECONDS:
            raise JobError(
                f"the API server has not answered for {SILENCE_SECONDS:.0f} s: {error}",
                remedy="run again when it answers: a job that still runs is then found and followed",
                temporary=True,
            ) from error
        self._clock.sleep(self._pause)
        self._pause = min(LONGEST_PAUSE_SECONDS, self._pause * 2)


def until_answered(clock: Clock, ask: Callable[[], Answer]) -> Answer:
    """The server's answer, after retries. Raises JobError when it does not answer for SILENCE_SECONDS."""
    silence = ServerSilence(clock)
    while True:
        try:
            return ask()
        except Unreachable as error:
            silence.wait(error)
