"""The files through which a step and its job talk, at the output's address: job.json, result.json and failure.json.

The step writes the job file, the job's program writes one of the other two. All are JSON of pydantic models; nothing is
read from the text of a log.
"""

from collections.abc import Iterator
from typing import Final, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from components.shared import errors
from components.shared.errors import JobError, TutelageError
from components.shared.outputs.manifest import Cost, Shard
from components.shared.parse_json import parse_json

JOB_FILE: Final = "job.json"
RESULT_FILE: Final = "result.json"
FAILURE_FILE: Final = "failure.json"

SomeFile = TypeVar("SomeFile", bound=BaseModel)


class JobResult(BaseModel):
    """What every job hands back. A step's own result is a subclass with more fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    shards: tuple[Shard, ...] = Field((), description="files that the job wrote at the address")
    counts: dict[str, float] = Field({}, description="what the manifest counts, by name")
    cost: Cost = Field(Cost(), description="time, tokens and price")


class JobFailure(BaseModel):
    """The error that ended a job, written by the job's program and raised again by the step."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    type: str = Field(description="name of a class of components/shared/errors.py")
    problem: str
    rule: str = ""
    remedy: str = ""
    allowed: tuple[str, ...] = ()
    temporary: bool = False

    @classmethod
    def of(cls, error: TutelageError) -> Self:
        """The record of an error; a subclass from elsewhere is recorded as its nearest class of errors.py."""
        named = next(kind for kind in type(error).__mro__ if kind.__module__ == errors.__name__)
        return cls(
            type=named.__name__,
            problem=error.problem,
            rule=error.rule,
            remedy=error.remedy,
            allowed=error.allowed,
            temporary=error.temporary,
        )

    def error(self) -> TutelageError:
        """The error again; a class that this version does not know is a JobError."""
        kind = next((one for one in _classes(TutelageError) if one.__name__ == self.type), JobError)
        return kind(self.problem, rule=self.rule, remedy=self.remedy, allowed=self.allowed, temporary=self.temporary)

    @property
    def exit_code(self) -> int:
        """What the program that recorded this exits with."""
        return self.error().job_exit_code


def parse(model: type[SomeFile], data: bytes, uri: str) -> SomeFile:
    """The file as a model. Raises DamagedError."""
    return parse_json(data, model, uri, f"it holds one {model.__name__} as JSON: delete it and run the step again")


def _classes(kind: type[TutelageError]) -> Iterator[type[TutelageError]]:
    yield kind
    for below in kind.__subclasses__():
        if below.__module__ == errors.__name__:
            yield from _classes(below)
