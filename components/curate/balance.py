"""Drop rare labels, cap frequent ones, and sample down to a number of rows; deterministic for a seed."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from components.curate.text.token_hashes import Hashes, Mask, Positions
from components.shared.outputs.digest import hash_text

LabelCounts = npt.NDArray[np.int64]


def priorities(ids: Sequence[str], seed: int) -> Hashes:
    """[rows] A pseudo-random number for each row from its id and the seed; rows with the lowest are kept first."""
    key = seed.to_bytes(8, "little", signed=True)
    return np.fromiter((hash_text(row, key) for row in ids), np.uint64, len(ids))


@dataclass(frozen=True)
class Balance:
    """Which rows to drop, each a mask [rows], and the limit on a label's rows (0 for none)."""

    rare: Mask
    over_cap: Mask
    over_maximum: Mask
    cap: int


def balance(
    labels: Positions,
    order: Hashes,
    *,
    rare_below: int,
    cap: int | None,
    cap_of_median: float | None,
    maximum_rows: int | None,
) -> Balance:
    """Choose rows by their labels.

    Args:
        labels: the index of each row's label [rows], from 0.
        order: each row's priority [rows]; the lowest are kept.
        rare_below: labels with fewer rows are dropped.
        cap: most rows of a label.
        cap_of_median: most rows of a label, as a multiple of the median of the labels that are not rare.
        maximum_rows: most rows in total; each label keeps its share, and at least one row.
    """
    counts = np.bincount(labels)
    rare = (counts < rare_below)[labels]
    counts = np.where(counts < rare_below, 0, counts)
    limit = _limit(counts, cap, cap_of_median)
    capped = np.minimum(counts, limit) if limit else counts
    thinned = _thin(capped, maximum_rows)
    rank = _rank(labels, order)
    over_cap = ~rare & (rank >= capped[labels])
    return Balance(rare=rare, over_cap=over_cap, over_maximum=~rare & ~over_cap & (rank >= thinned[labels]), cap=limit)


def _limit(counts: LabelCounts, cap: int | None, cap_of_median: float | None) -> int:
    limits = [cap] if cap is not None else []
    if cap_of_median is not None and counts.any():
        limits.append(max(1, round(cap_of_median * float(np.median(counts[counts > 0])))))
    return min(limits, default=0)


def _thin(counts: LabelCounts, maximum_rows: int | None) -> LabelCounts:
    """Counts in proportion that sum to `maximum_rows`: one for each label if they suffice, then largest remainders."""
    if maximum_rows is None or int(counts.sum()) <= maximum_rows:
        return counts
    present = np.minimum(counts, 1)
    sure = present if int(present.sum()) <= maximum_rows else np.zeros_like(counts)
    rest = counts - sure
    exact = rest * ((maximum_rows - int(sure.sum())) / int(rest.sum()))
    thinned = np.floor(exact).astype(np.int64)
    largest = np.lexsort((np.arange(len(counts)), thinned - exact))
    thinned[largest[: maximum_rows - int(sure.sum()) - int(thinned.sum())]] += 1
    return sure + thinned


def _rank(labels: Positions, order: Hashes) -> Positions:
    """[rows] How many rows of the same label have a lower priority value."""
    by_label = np.lexsort((order, labels))
    starts = np.cumsum(np.bincount(labels)) - np.bincount(labels)
    rank = np.empty(len(labels), np.int64)
    rank[by_label] = np.arange(len(labels)) - starts[labels[by_label]]
    return rank
