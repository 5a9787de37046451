"""In which order rows are learnt: fixed by the seed, and the same for any number of ranks."""

from dataclasses import dataclass

import numpy as np

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


def split_batch(settings: TrainSettings, ranks: int) -> Split:
    """The largest micro-batch that the settings allow and that divides a rank's rows. Raises SettingsError."""
    if settings.global_batch % ranks:
        raise SettingsError(
            f"global_batch {settings.global_batch} is not divisible by {ranks} ranks",
            rule="an optimizer step has the same rows on any number of ranks",
            remedy="choose a global_batch that the number of ranks divides",
        )
    rows = settings.global_batch // ranks
    most = settings.kto.kl_batch // ranks if settings.method == "kto" else settings.micro_batch
    micro_batch = max(size for size in range(1, rows + 1) if rows % size == 0 and size <= max(most, 1))
    return Split(ranks, micro_batch, rows // micro_batch)


def shuffled(rows: int, global_batch: int, seed: int, epoch: int) -> np.ndarray:
    """Row numbers of one epoch, shape (steps * global_batch,).

    Each row comes once; the last step is filled up with the epoch's first rows, so that none is left out.
    """
    order = np.random.default_rng([seed, epoch]).permutation(rows)
    return np.resize(order, -(-rows // global_batch) * global_batch)


def dealt(order: np.ndarray, lengths: np.ndarray, split: Split, group: int) -> np.ndarray:
    """The order in which a loader hands out rows: micro-batch i goes to rank i modulo ranks.

    Within each `group` of rows (a step, or the rows that estimate a reference point together) rows are sorted by
    length and dealt to the ranks in turn, so that ranks pad little and wait little; the group's rows stay the same.

    Args:
        order: row numbers, a multiple of `group`.
        lengths: tokens of each row, by row number.
    """
    steps = order.reshape(-1, group)
    ranked = np.take_along_axis(steps, np.argsort(-lengths[steps], axis=1, kind="stable"), axis=1)
    forwards = ranked.reshape(-1, split.micro_batch, split.ranks)
    return forwards.transpose(0, 2, 1).reshape(-1)


def mismatched(order: np.ndarray, kl_batch: int) -> np.ndarray:
    """For each place in the order, the row whose response is paired with its prompt: the one before it in its group.

    The KTO paper (section 4.1) estimates the reference point from such mismatched pairs of one batch.
    """
    return np.roll(order.reshape(-1, kl_batch), 1, axis=1).reshape(-1)
