"""When the cut of a model no longer fits its devices: what processes take now beside what they took at first."""

from collections.abc import Sequence

from pydantic import Field

from components.shared.settings import Settings

DRIFT = 1.2
"""Time of the slowest process beside layers cut again, from which a cut no longer fits: less than a layer of a few."""


class StageDrift(Settings):
    """A line of `stage_drift.jsonl`: the cut of a job stopped to fit its devices."""

    step: int = Field(ge=1, description="the step after which it was found")
    before: tuple[float, ...] = Field(description="seconds of each rank's forward passes in a step, at first")
    now: tuple[float, ...] = Field(description="the same, in the last steps")
    slowdown: float = Field(description="how many times as long a step takes as with layers cut again, by estimate")

    @property
    def slowest(self) -> int:
        """The rank that has slowed most."""
        return max(range(len(self.now)), key=lambda rank: self.now[rank] / self.before[rank])

    def __str__(self) -> str:
        """A line for the log."""
        times = self.now[self.slowest] / self.before[self.slowest]
        return (
            f"the layers of the stages no longer fit: at step {self.step} the passes of rank {self.slowest} take "
            f"{times:.2f} times as long as at first, and a step about {self.slowdown:.2f} times as long as with layers "
            "cut again"
        )


def slowdown(before: Sequence[float], now: Sequence[float]) -> float:
    """Time of the slowest process beside that with work divided by the speeds of now, relative to the same at first.

    A cut never divides layers exactly, so what it left at first does not count.

    Args:
        before: seconds of each process's passes at first.
        now: the same with the same layers.
    """
    speeds = [earlier / later for earlier, later in zip(before, now, strict=True)]
    fitting, at_first = sum(before) / sum(speeds), sum(before) / len(before)
    return max(now) / fitting / (max(before) / at_first)
