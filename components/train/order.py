"""In which order rows are learnt: fixed by the seed, and the same for any number of ranks."""

import numpy as np

from components.train.split import Split


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
