"""Find near-duplicates: rows whose guards are equal and whose simhashes differ in at most k bits.

Exact, in nearly linear time. The 64 bits are split into m > k blocks. Two hashes that differ in at most k bits agree in
at least m - k blocks (pigeonhole). So for each of the C(m, k) choices of m - k blocks, rows that agree in all of them
(and in the guard) share a bucket, and only rows in a common bucket are compared (Manku, Jain and Das
Sarma, WWW 2007, section 3). m depends on the number of rows: with more blocks the keys are longer, so the buckets are
smaller, but there are more choices. A row that is alone in all its buckets has no near-duplicate, and costs only its
share of the sorting.

Rows are processed in order, and a row is dropped when it is near an earlier row that is kept. So the first of its kind
is kept, and a chain of small changes doesn't drop a row that is far from every kept row.
"""

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from components.curate.text.token_hashes import Hashes, Positions, mixed

BITS = 64
MOST_EXTRA_BLOCKS = 4
# Cost of a row in a shared bucket, relative to that of sorting it (measured: 2 to 5 µs against 0.15 µs).
SHARED_COST = 20.0
# Below this many rows in a bucket, a Python loop is faster than numpy.
FEW = 24


@dataclass(frozen=True)
class NearDuplicates:
    """`kept` [rows]: the row that is kept instead, -1 for a kept row; `distance` [rows]: bits between the two."""

    kept: Positions
    distance: npt.NDArray[np.uint8]


def find_near_duplicates(hashes: Hashes, guards: Hashes, distance: int, always_kept: int = 0) -> NearDuplicates:
    """Which rows to drop, and the earlier row that each is near.

    Args:
        hashes: simhashes [rows], in the rows' order.
        guards: numbers that must be equal too [rows].
        distance: the largest Hamming distance k of near-duplicates.
        always_kept: so many of the first rows are kept even where they are near one another, so that each is compared
            with all later rows.
    """
    first = _first_of_equal(hashes, guards)
    found = NearDuplicates(
        kept=np.where(first == np.arange(len(hashes)), -1, first), distance=np.zeros(len(hashes), np.uint8)
    )
    unique = np.flatnonzero(found.kept == -1)
    if distance > 0 and len(unique) > 1:
        _drop_near(hashes, guards, distance, unique, found, always_kept)
        _follow(hashes, found)
    return found


def _first_of_equal(hashes: Hashes, guards: Hashes) -> Positions:
    """[rows] The first row with the same hash and guard (possibly itself)."""
    order = np.lexsort((guards, hashes))  # stable: rows of equal keys stay in order
    new = np.ones(len(order), bool)
    new[1:] = (hashes[order][1:] != hashes[order][:-1]) | (guards[order][1:] != guards[order][:-1])
    heads = order[np.flatnonzero(new)]
    first = np.empty(len(order), np.int64)
    first[order] = heads[np.cumsum(new) - 1]
    return first


def _follow(hashes: Hashes, found: NearDuplicates) -> None:
    """Rows equal to a dropped row get the kept row that it is near."""
    kept = found.kept
    followers = np.flatnonzero((kept >= 0) & (kept[kept] >= 0))
    kept[followers] = kept[kept[followers]]
    found.distance[followers] = np.bitwise_count(hashes[followers] ^ hashes[kept[followers]])


def choose_blocks(rows: int, distance: int) -> int:
    """The number of blocks m with the lowest expected cost, for hashes that are uniformly distributed."""

    def cost(blocks: int) -> float:
        key_bits = BITS * (blocks - distance) // blocks
        return math.comb(blocks, distance) * (1 + SHARED_COST * rows / 2.0**key_bits)

    return min(range(distance + 1, distance + 2 + MOST_EXTRA_BLOCKS), key=cost)


def key_masks(blocks: int, distance: int) -> Iterator[np.uint64]:
    """The bit mask of each choice of `blocks - distance` blocks."""
    edges = [BITS * number // blocks for number in range(blocks + 1)]
    parts = [(1 << high) - (1 << low) for low, high in itertools.pairwise(edges)]
    for chosen in itertools.combinations(parts, blocks - distance):
        yield np.uint64(sum(chosen))


def _drop_near(  # noqa: PLR0917 - the rows, the rule, and where the result goes
    hashes: Hashes, guards: Hashes, distance: int, unique: Positions, found: NearDuplicates, always_kept: int
) -> None:
    """Record which of the `unique` rows (ascending) are near an earlier one that is kept."""
    tables = [
        _Table(rows, buckets, starts)
        for mask in key_masks(choose_blocks(len(unique), distance), distance)
        for rows, buckets, starts in [_shared_buckets(mixed(hashes[unique] & mask) ^ guards[unique])]
    ]
    sharing = np.unique(np.concatenate([table.rows for table in tables]))
    columns = [table.buckets_of(sharing) for table in tables]
    search = _Search([table.starts for table in tables], distance)
    values = hashes[unique[sharing]].tolist()
    # Convert columns to lists in pieces: access to single items of an array is slow.
    for first in range(0, len(sharing), 100_000):
        piece = slice(first, first + 100_000)
        buckets = zip(*(column[piece].tolist() for column in columns), strict=True)
        for row, value, mine in zip(unique[sharing[piece]].tolist(), values[piece], buckets, strict=True):
            near = search.earliest(value, mine) if row >= always_kept else None
            if near is None:
                search.keep(row, value, mine)
            else:
                found.kept[row], found.distance[row] = near


def _shared_buckets(keys: Hashes) -> tuple[Positions, npt.NDArray[np.int32], Positions]:
    """Rows that share their key with another, the bucket of each, and each bucket's offset."""
    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    same = ordered[1:] == ordered[:-1]
    shares = np.concatenate([[False], same]) | np.concatenate([same, [False]])
    rows = order[shares]
    heads = np.flatnonzero(~np.concatenate([[False], same])[shares])
    sizes = np.diff(np.append(heads, len(rows)))
    buckets = np.repeat(np.arange(len(heads), dtype=np.int32), sizes)
    by_row = np.argsort(rows, kind="stable")
    return rows[by_row], buckets[by_row], np.append(heads, len(rows))


@dataclass(frozen=True)
class _Table:
    rows: Positions
    buckets: npt.NDArray[np.int32]
    starts: Positions

    def buckets_of(self, rows: Positions) -> npt.NDArray[np.int32]:
        """[rows] Each row's bucket, -1 without one."""
        found = np.full(len(rows), -1, np.int32)
        found[np.searchsorted(rows, self.rows)] = self.buckets
        return found


class _Search:
    """The kept rows by bucket: one array for each table, with space in each bucket for all its rows."""

    def __init__(self, starts: list[Positions], distance: int) -> None:
        self._distance = distance
        self._starts = [table.tolist() for table in starts]
        self._filled = [[0] * (len(table) - 1) for table in starts]
        self._values = [np.zeros(int(table[-1]), np.uint64) for table in starts]
        self._rows = [np.zeros(int(table[-1]), np.int64) for table in starts]

    def earliest(self, value: int, buckets: tuple[int, ...]) -> tuple[int, int] | None:
        """The first kept row within the distance, and its distance."""
        best: tuple[int, int] | None = None
        for table, bucket in enumerate(buckets):
            if bucket >= 0 and self._filled[table][bucket]:
                found = self._earliest_in(table, bucket, value)
                if found is not None and (best is None or found < best):
                    best = found
        return best

    def _earliest_in(self, table: int, bucket: int, value: int) -> tuple[int, int] | None:
        start, filled = self._starts[table][bucket], self._filled[table][bucket]
        room = slice(start, start + filled)
        if filled < FEW:
            for row, other in zip(self._rows[table][room].tolist(), self._values[table][room].tolist(), strict=True):
                bits = (value ^ other).bit_count()
                if bits <= self._distance:
                    return row, bits
            return None
        bits_of = np.bitwise_count(self._values[table][room] ^ np.uint64(value))
        near = np.flatnonzero(bits_of <= self._distance)
        return (int(self._rows[table][start + near[0]]), int(bits_of[near[0]])) if len(near) else None

    def keep(self, row: int, value: int, buckets: tuple[int, ...]) -> None:
        """Add a kept row; rows must be added in ascending order."""
        for table, bucket in enumerate(buckets):
            if bucket >= 0:
                at = self._starts[table][bucket] + self._filled[table][bucket]
                self._values[table][at], self._rows[table][at] = value, row
                self._filled[table][bucket] += 1
