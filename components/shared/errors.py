"""Errors with the problem, the rule, the allowed values and the remedy.

TutelageError
├── SettingsError     a recipe or a step's settings are invalid (exit code 2)
├── InputError        the rows, files or models given to a step are invalid
│   ├── EmptyDataError    nothing is left to work on
│   └── DamagedError      bytes differ from what the manifest promises
├── StoreError        the store refused a request or is unreachable
│   ├── NotFoundError     no such object
│   ├── ExistsError       a conditional put found an object
│   └── LeaseError        another writer holds the address
├── ServiceError      a model service is unreachable or refuses requests
├── GenerationError   a generator is unreachable or its answers are unusable
├── ModelError        a model cannot be loaded or used
├── JobError          a job failed
└── SandboxError      code cannot be run in isolation on this machine
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

TEMPORARY_EXIT_CODE = 75
"""Exit code by which a job's program reports a transient failure to its launcher: EX_TEMPFAIL of sysexits.h."""


class TutelageError(Exception):
    """A failure with its bad value, the rule it breaks, the remedy and what is allowed.

    `problem` names the bad value; the other parts are optional and printed on separate lines. `temporary`: the failure
    is transient, the same work may succeed later without any change; a step on a cluster then retries.
    """

    exit_code = 1

    def __init__(
        self,
        problem: str,
        *,
        rule: str = "",
        remedy: str = "",
        allowed: Sequence[str] = (),
        step: str = "",
        temporary: bool = False,
    ) -> None:
        super().__init__(problem)
        self.problem = problem
        self.rule = rule
        self.remedy = remedy
        self.allowed = tuple(allowed)
        self.step = step
        self.temporary = temporary

    @property
    def job_exit_code(self) -> int:
        """Exit code of a job's program, which its launcher turns back into an error."""
        return TEMPORARY_EXIT_CODE if self.temporary else self.exit_code

    def __str__(self) -> str:
        parts = [f"{self.step}: {self.problem}" if self.step else self.problem]
        parts += [f"  rule: {self.rule}"] if self.rule else []
        parts += [f"  allowed: {', '.join(self.allowed)}"] if self.allowed else []
        parts += [f"  remedy: {self.remedy}"] if self.remedy else []
        return "\n".join(parts)


class SettingsError(TutelageError):
    """A recipe or a step's settings are invalid; nothing has been started."""

    exit_code = 2


class InputError(TutelageError):
    """The rows, files or models given to a step are invalid."""


class EmptyDataError(InputError):
    """No rows are left to work on."""


class DamagedError(InputError):
    """Bytes differ from what the manifest promises."""


class StoreError(TutelageError):
    """The store refused a request or is unreachable."""


class NotFoundError(StoreError):
    """No such object in the store."""


class ExistsError(StoreError):
    """A conditional put found an existing object."""


class LeaseError(StoreError):
    """Another writer holds the address."""


class ServiceError(TutelageError):
    """A model service cannot be reached or refuses requests."""


class GenerationError(TutelageError):
    """A generator cannot be reached, or its answers are unusable."""


class ModelError(TutelageError):
    """A model cannot be loaded or used."""


class JobError(TutelageError):
    """A job failed."""


class SandboxError(TutelageError):
    """Code cannot be run in isolation on this machine."""


@contextmanager
def naming_step(step: str) -> Iterator[None]:
    """Name the step in errors of the block."""
    try:
        yield
    except TutelageError as error:
        error.step = step
        raise
