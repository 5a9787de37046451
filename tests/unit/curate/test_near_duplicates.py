import numpy as np
import pytest

from components.curate.duplicates.near_duplicates import choose_blocks, find_near_duplicates, key_masks
from components.curate.text.token_hashes import Hashes


def clustered(rng: np.random.Generator, rows: int) -> Hashes:
    """Random hashes, half of them with a few bits flipped of another."""
    hashes = rng.integers(0, 2**64, rows, dtype=np.uint64)
    for row in range(rows // 2, rows):
        flipped = rng.choice(64, size=rng.integers(0, 7), replace=False)
        hashes[row] = hashes[rng.integers(0, row)] ^ np.uint64(sum(1 << int(bit) for bit in flipped))
    return rng.permutation(hashes)


def brute_force(hashes: Hashes, guards: Hashes, distance: int) -> list[tuple[int, int]]:
    """The first earlier kept row within the distance, and its distance; -1 and 0 for a kept row."""
    found: list[tuple[int, int]] = []
    for row, (value, mine) in enumerate(zip(hashes.tolist(), guards.tolist(), strict=True)):
        near = (
            (other, bits)
            for other in range(row)
            if found[other][0] < 0
            and int(guards[other]) == mine
            and (bits := (value ^ int(hashes[other])).bit_count()) <= distance
        )
        found.append(next(near, (-1, 0)))
    return found


@pytest.mark.parametrize("distance", [0, 1, 3, 4, 8])
@pytest.mark.parametrize("guards", [1, 5])
def test_equals_brute_force(distance: int, guards: int) -> None:
    rng = np.random.default_rng(distance * 10 + guards)
    hashes = clustered(rng, 600)
    guard = rng.integers(0, guards, 600).astype(np.uint64)
    found = find_near_duplicates(hashes, guard, distance)
    assert list(zip(found.kept.tolist(), found.distance.tolist(), strict=True)) == brute_force(hashes, guard, distance)


def test_large_buckets_equal_brute_force() -> None:
    """All hashes agree in 44 bits, so that many rows share buckets."""
    rng = np.random.default_rng(1)
    hashes = rng.integers(0, 2**20, 1500, dtype=np.uint64)
    guards = np.zeros(1500, np.uint64)
    found = find_near_duplicates(hashes, guards, 3)
    assert list(zip(found.kept.tolist(), found.distance.tolist(), strict=True)) == brute_force(hashes, guards, 3)


def test_the_first_is_kept_and_a_chain_does_not_drop_distant_rows() -> None:
    hashes = np.array([0b0, 0b111, 0b111111, 0b111111111], np.uint64)
    found = find_near_duplicates(hashes, np.zeros(4, np.uint64), 3)
    assert found.kept.tolist() == [-1, 0, -1, 2]
    assert found.distance.tolist() == [0, 3, 0, 3]


def test_rows_that_are_always_kept_are_each_compared() -> None:
    hashes = np.array([0b0, 0b111, 0b111111, 0b111], np.uint64)
    found = find_near_duplicates(hashes, np.zeros(4, np.uint64), 3, always_kept=2)
    assert found.kept.tolist() == [-1, -1, 1, 1], "the third is near the second, which is near the first"


def test_repetitions_of_a_dropped_row_name_the_kept_row() -> None:
    hashes = np.array([0b0, 0b11, 0b11, 0b11], np.uint64)
    found = find_near_duplicates(hashes, np.zeros(4, np.uint64), 2)
    assert found.kept.tolist() == [-1, 0, 0, 0]
    assert found.distance.tolist() == [0, 2, 2, 2]


@pytest.mark.parametrize("rows", [0, 1])
def test_few_rows(rows: int) -> None:
    assert find_near_duplicates(np.zeros(rows, np.uint64), np.zeros(rows, np.uint64), 3).kept.tolist() == [-1] * rows


def test_key_masks_have_equal_numbers_of_blocks_and_cover_every_bit() -> None:
    masks = [int(mask) for mask in key_masks(5, 3)]
    assert len(masks) == 10
    singles = [int(mask) for mask in key_masks(5, 4)]
    assert sum(singles) == 2**64 - 1
    assert all(mask == sum(single for single in singles if single & mask) for mask in masks)


def test_more_rows_get_longer_keys() -> None:
    blocks = [choose_blocks(rows, 3) for rows in (100, 1_000_000, 1_000_000_000)]
    assert blocks == sorted(blocks)
    assert blocks[0] < blocks[-1]
