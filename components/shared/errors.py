"""Errors that tell a person what is wrong and what to do.

TutelageError
├── SettingsError     a recipe or a step's settings are wrong (exit code 2)
├── InputError        rows, files or models that a step was given are wrong
│   ├── EmptyDataError    nothing is left to work on
│   └── DamagedError      bytes differ from what the manifest promises
├── StoreError        the store refused or cannot be reached
│   ├── NotFoundError     no such object
│   ├── ExistsError       a conditional put found an object
│   └── LeaseError        another writer holds the address
├── TeacherError      a teacher is unreachable or answers nonsense
├── ModelError        a model cannot be loaded or used
├── JobError          a job did not end well
└── SandboxError      code cannot be run in isolation here
"""

from collections.abc import Sequence

TEMPORARY_EXIT_CODE = 75
"""How a job's program says to its launcher that its failure may pass: EX_TEMPFAIL of sysexits.h."""


class TutelageError(Exception):
    """A failure with its bad value, the rule it breaks, the remedy and what is allowed.

    `problem` names the bad value; the other parts are optional and printed on lines of their own. `temporary` says that
    the same work may succeed later, without anybody mending anything: a step on a cluster then tries again.
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
        """What a job's program ends with, from which its launcher makes an error again."""
        return TEMPORARY_EXIT_CODE if self.temporary else self.exit_code

    def __str__(self) -> str:
        parts = [f"{self.step}: {self.problem}" if self.step else self.problem]
        parts += [f"  rule: {self.rule}"] if self.rule else []
        parts += [f"  allowed: {', '.join(self.allowed)}"] if self.allowed else []
        parts += [f"  remedy: {self.remedy}"] if self.remedy else []
        return "\n".join(parts)


class SettingsError(TutelageError):
    """A recipe or a step's settings are wrong; nothing has been started."""

    exit_code = 2


class InputError(TutelageError):
    """Rows, files or models that a step was given are wrong."""


class EmptyDataError(InputError):
    """No rows are left to work on."""


class DamagedError(InputError):
    """Bytes differ from what the manifest promises."""


class StoreError(TutelageError):
    """The store refused a request or cannot be reached."""


class NotFoundError(StoreError):
    """No such object in the store."""


class ExistsError(StoreError):
    """A conditional put found an object in its place."""


class LeaseError(StoreError):
    """Another writer holds the address."""


class TeacherError(TutelageError):
    """A teacher cannot be reached or answers nonsense."""


class ModelError(TutelageError):
    """A model cannot be loaded or used."""


class JobError(TutelageError):
    """A job did not end well."""


class SandboxError(TutelageError):
    """Code cannot be run in isolation on this machine."""
