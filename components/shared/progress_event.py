"""How far an activity is: what the command line draws, and what a job on a cluster writes into its log for its step."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError


class ProgressEvent(BaseModel):
    """One report of progress."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    kind: Literal["progress"] = "progress"
    step: str = Field(description="name of the step, such as train-sft")
    what: str = Field(description="the activity, such as near-duplicates")
    done: int = Field(ge=0)
    total: int | None = Field(None, description="items expected; None when unknown")
    unit: str = Field(description="what is counted, in the plural")
    rate: float = Field(description="items per second")
    left: float | None = Field(None, description="seconds until all is done; None when unknown")
    ended: bool = False

    @property
    def text(self) -> str:
        """For people: `steps: 40 of 100 steps, 2.0/s, 30 s left`."""
        of = f" of {self.total}" if self.total is not None else ""
        until = "" if self.left is None else f", {duration(self.left)} left"
        return f"{self.what}: {self.done}{of} {self.unit}, {self.rate:.1f}/s{until}"


def parse_progress(line: str) -> ProgressEvent | None:
    """The event that a line of a log holds as JSON; None when the line is anything else."""
    if not line.startswith("{"):
        return None
    try:
        return ProgressEvent.model_validate_json(line)
    except ValidationError:
        return None


def duration(seconds: float) -> str:
    """A time span in words: `40 s`, `3 min 20 s`, `2 h 5 min`."""
    whole = int(seconds)
    if whole < 60:
        return f"{whole} s"
    return f"{whole // 60} min {whole % 60} s" if whole < 3600 else f"{whole // 3600} h {whole % 3600 // 60} min"
