"""Divides rows into micro-batches of at most a number of tokens and of rows, by best fit."""

from bisect import bisect_left, insort
from collections.abc import Sequence
from heapq import heapify, heappop, heapreplace

from components.shared.errors import InputError


def best_fit(lengths: Sequence[int], budget: int, most: int | None = None) -> list[list[int]]:
    """Row numbers of each micro-batch, none longer than `budget` tokens: best fit decreasing (Johnson, 1974).

    Each row, longest first, goes where it leaves the least room. The same lengths give the same micro-batches: among
    rows of one length the first comes first, among equal rooms the oldest micro-batch. Numbers rise in each of them.

    Args:
        lengths: tokens of each row.
        budget: most tokens of a micro-batch; a longer row is one by itself.
        most: rows of a micro-batch; None: any number.
    """
    filled: list[list[int]] = []
    rooms: list[tuple[int, int]] = []
    for row in sorted(range(len(lengths)), key=lambda number: (-lengths[number], number)):
        place = bisect_left(rooms, (lengths[row], -1))
        room, batch = rooms.pop(place) if place < len(rooms) else (budget, len(filled))
        if batch == len(filled):
            filled.append([])
        filled[batch].append(row)
        if room > lengths[row] and len(filled[batch]) != most:
            insort(rooms, (room - lengths[row], batch))
    return [sorted(rows) for rows in filled]


def micro_batches(lengths: Sequence[int], budget: int, ranks: int, most: int | None = None) -> list[list[list[int]]]:
    """Row numbers of each micro-batch of each rank: the same number of micro-batches for all ranks, none empty.

    As few as fit the budget and the rows; where these are not a multiple of the ranks, rows are spread over more.
    Micro-batches of similar size are computed at the same time. Budget and `most` are those of `best_fit`.

    Raises:
        InputError: the rows are not a multiple of the ranks.
    """
    if len(lengths) % ranks:
        raise InputError(
            f"{len(lengths)} rows for {ranks} ranks", rule="the rows of a step are a multiple of the ranks"
        )
    fitted = best_fit(lengths, budget, most)
    if len(fitted) % ranks:
        more = range(-(-len(fitted) // ranks) * ranks, len(lengths) + 1, ranks)
        fitted = next(filled for number in more if _fits(filled := spread(lengths, number, most), lengths, budget))
    fitted.sort(key=lambda rows: (-sum(lengths[row] for row in rows), rows))
    return [fitted[rank::ranks] for rank in range(ranks)]


def spread(lengths: Sequence[int], number: int, most: int | None = None) -> list[list[int]]:
    """Row numbers of `number` micro-batches of similar size: longest first, each into the emptiest one with a place.

    Args:
        lengths: tokens of each row.
        number: of micro-batches.
        most: rows of a micro-batch, enough for all rows; None: any number.
    """
    sizes = [(0, batch) for batch in range(number)]
    heapify(sizes)
    filled: list[list[int]] = [[] for _ in range(number)]
    for row in sorted(range(len(lengths)), key=lambda place: (-lengths[place], place)):
        size, batch = sizes[0]
        filled[batch].append(row)
        if len(filled[batch]) == most:
            heappop(sizes)
        else:
            heapreplace(sizes, (size + lengths[row], batch))
    return [sorted(rows) for rows in filled]


def _fits(filled: Sequence[Sequence[int]], lengths: Sequence[int], budget: int) -> bool:
    return all(len(rows) == 1 or sum(lengths[row] for row in rows) <= budget for rows in filled)
