"""How the rows of an optimizer step are split over ranks and forwards."""

from dataclasses import dataclass

from components.shared.errors import SettingsError
from components.train.settings import TrainSettings


@dataclass(frozen=True)
class Split:
    """How the rows of one optimizer step are split: ranks * micro_batch * accumulation = global_batch."""

    ranks: int
    micro_batch: int
    accumulation: int

    @property
    def global_batch(self) -> int:
        """Rows in one optimizer step."""
        return self.ranks * self.micro_batch * self.accumulation


def budget_rows(settings: TrainSettings, ranks: int) -> int:
    """Most rows of one process in a forward pass that a token budget limits too."""
    return min(max(settings.micro_batch, settings.forward_rows(ranks)), settings.global_batch)


def split_batch(settings: TrainSettings, ranks: int) -> Split:
    """The largest micro-batch that the settings allow and that divides a rank's rows. Raises SettingsError.

    Where shares follow speed, or with stages, steps are dealt when they are reached: until then their rows are those of
    one rank.
    """
    if settings.shares == "speed" or settings.stages is not None:
        ranks = 1
    if settings.global_batch % ranks:
        raise SettingsError(
            f"global_batch {settings.global_batch} is not divisible by {ranks} ranks",
            rule="every rank processes the same number of rows in an optimizer step",
            remedy="choose a global_batch that is a multiple of the number of ranks",
        )
    rows = settings.global_batch // ranks
    most = settings.forward_rows(ranks)
    micro_batch = max(size for size in range(1, rows + 1) if rows % size == 0 and size <= max(most, 1))
    return Split(ranks, micro_batch, rows // micro_batch)
