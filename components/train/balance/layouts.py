"""The ways to arrange devices as pipelines that are compared: which kinds share pipelines, and how many there are.

Kinds are divided into blocks, and a block's devices over D pipelines that differ by at most one device of each kind.
Every division into blocks is compared, with any kinds left out; D is any number up to 32, and above that those that
divide the devices of one of its kinds. All arrangements of single devices would be exponentially many.
"""

from collections.abc import Iterator, Sequence
from itertools import combinations, pairwise

FEW = 32
"""Pipelines of a block up to which every number of them is compared."""


def divisions(kinds: Sequence[int]) -> Iterator[tuple[tuple[int, ...], ...]]:
    """Every division into blocks of some of these kinds, or of all."""
    for number in range(1, len(kinds) + 1):
        for chosen in combinations(kinds, number):
            yield from _blocks(chosen)


def _blocks(kinds: tuple[int, ...]) -> Iterator[tuple[tuple[int, ...], ...]]:
    if not kinds:
        yield ()
        return
    first, *others = kinds
    for number in range(len(others) + 1):
        for joined in combinations(others, number):
            rest = tuple(kind for kind in others if kind not in joined)
            yield from (((first, *joined), *blocks) for blocks in _blocks(rest))


def numbers_of_pipelines(counts: Sequence[int], most_stages: int) -> list[int]:
    """How many pipelines a block with these devices of each kind may have, none of them with too many stages."""
    fewest = -(-sum(counts) // most_stages)
    return [
        number
        for number in range(fewest, max(counts) + 1)
        if number <= FEW or any(count % number == 0 for count in counts)
    ]


def equal_pipelines(counts: Sequence[int], pipelines: int) -> list[tuple[tuple[int, ...], int]]:
    """The devices of each kind in a pipeline, and how many pipelines have them; numbers differ by at most one."""
    edges = sorted({0, pipelines, *(count % pipelines for count in counts)})
    return [
        (tuple(count // pipelines + (first < count % pipelines) for count in counts), end - first)
        for first, end in pairwise(edges)
    ]
