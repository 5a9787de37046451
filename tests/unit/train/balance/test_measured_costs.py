"""What is made of measured costs: kinds of devices, and what a person reads."""

import pytest

from components.train.balance.devices import Link
from components.train.balance.measured_costs import (
    LayerSeconds,
    MeasuredLink,
    MeasuredRank,
    PassSeconds,
    StagesRecord,
    alike,
)


def rank_of(seconds: float, name: str = "H100") -> MeasuredRank:
    each = PassSeconds(forward=seconds / 3, backward=seconds * 2 / 3)
    return MeasuredRank(name=name, free_gib=70.0, layers=LayerSeconds(first=each, inner=each, last=each))


@pytest.mark.parametrize(
    ("ranks", "expected"),
    [
        ([rank_of(1.0), rank_of(1.05), rank_of(0.97)], [[0, 1, 2]]),
        ([rank_of(1.0), rank_of(2.0), rank_of(2.1)], [[0], [1, 2]]),
        ([rank_of(1.0), rank_of(1.0, "A10"), rank_of(1.0)], [[0], [1], [2]]),
        # Each is near the one before, and the last is not near the first.
        ([rank_of(1.0), rank_of(1.08), rank_of(1.16)], [[0, 1], [2]]),
    ],
)
def test_neighbours_that_are_about_as_fast_are_one_kind(ranks: list[MeasuredRank], expected: list[list[int]]) -> None:
    assert alike(ranks, 12) == expected


def test_all_layers_are_the_first_the_last_and_those_between() -> None:
    first, inner, last = (PassSeconds(forward=value, backward=2 * value) for value in (1.0, 2.0, 5.0))
    assert LayerSeconds(first=first, inner=inner, last=last).total(4) == 3 * (1 + 2 * 2 + 5)


def test_the_log_lists_ranks_and_links_and_few_of_many() -> None:
    def record(ranks: int) -> StagesRecord:
        links = [
            MeasuredLink(ranks=(one, one + 1), link=Link(bytes_a_second=2**20, latency_seconds=0.5))
            for one in range(ranks - 1)
        ]
        return StagesRecord(
            step=1,
            ranks=tuple(rank_of(0.5) for _ in range(ranks)),
            links=tuple(links),
            message_bytes=2**20,
            layers=(2,) * ranks,
            recomputed=False,
            step_seconds=1.0,
            measuring_seconds=5.25,
        )

    assert str(record(2)) == (
        "costs measured in 5.2 s. All layers of a micro-batch, both passes: rank 0 2 s, rank 1 2 s. "
        "A message of 1 MiB between ranks: 0–1 1.5 s"
    )
    assert "rank 6 16 s, … (16). " in str(record(8 * 2))
