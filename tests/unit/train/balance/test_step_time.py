"""The closed formulas of a step's time, and how micro-batches are dealt to pipelines."""

from itertools import product

import pytest

from components.train.balance.devices import DeviceKind, Fleet, Link
from components.train.balance.step_time import (
    HeldStage,
    PipelineTimes,
    deal_micro_batches,
    earliest_end,
    reduction_end,
    ring_seconds,
    stage_ends,
)


def test_equal_stages_take_what_the_papers_say() -> None:
    """GPipe and 1F1B: (m + S - 1) t."""
    assert PipelineTimes(slowest=0.5, passing=4 * 0.5).seconds(6) == pytest.approx((6 + 4 - 1) * 0.5)


def test_a_pipeline_ends_with_what_it_has_time_for() -> None:
    times = PipelineTimes(slowest=0.3, passing=1.0)
    for micro_batches in (1, 2, 7, 100):
        assert times.micro_batches(times.seconds(micro_batches)) == micro_batches
    assert times.micro_batches(0.9) == 0


def test_a_ring_sends_each_byte_nearly_twice() -> None:
    assert ring_seconds(800, 4, Link(bytes_a_second=100)) == pytest.approx(2 * 3 / 4 * 8)
    assert ring_seconds(800, 1, Link(bytes_a_second=100)) == 0


def test_a_ring_is_as_slow_as_its_slowest_link() -> None:
    kinds = [
        DeviceKind(
            name=name,
            count=8,
            memory_bytes=1,
            per_node=4,
            link=Link(bytes_a_second=rate),
            network=Link(bytes_a_second=rate / 10, latency_seconds=1 / rate),
        )
        for name, rate in (("fast", 1000), ("slow", 100))
    ]
    fleet = Fleet(kinds=tuple(kinds))
    assert fleet.ring_link({0}, 4) == kinds[0].link
    assert fleet.ring_link({0}, 5) == kinds[0].network
    assert fleet.ring_link({0, 1}, 2) == Link(bytes_a_second=10, latency_seconds=0.01)


def test_later_stages_end_earlier_by_the_backward_passes_before_them() -> None:
    assert stage_ends(10.0, [3.0, 2.0, 1.0]) == [10.0, 7.0, 5.0]


FLEET = Fleet(
    kinds=(
        DeviceKind(
            name="card",
            count=8,
            memory_bytes=1,
            link=Link(bytes_a_second=1),
            network=Link(bytes_a_second=1),
        ),
    )
)


def held(*ends: int, seconds: float = 0.0) -> list[HeldStage]:
    return [HeldStage(0, end, seconds) for end in ends]


def test_stages_that_are_cut_alike_reduce_their_gradients_at_the_same_time() -> None:
    largest = 3
    assert reduction_end([held(3, 6)], [4] * 6, 2, FLEET) == largest * 4
    assert reduction_end([held(3, 6)], [4] * 6, 1, FLEET) == 0


def test_rings_of_stages_that_are_cut_in_different_places_follow_each_other() -> None:
    # Layers 4 and 5 first; 2 and 3 share a device with them; 0 and 1 share one with these.
    assert reduction_end([held(4, 6), held(2, 6)], [4] * 6, 2, FLEET) == 6 * 4


def test_the_reduction_of_last_layers_overlaps_the_passes_of_first_ones() -> None:
    stages = [HeldStage(0, 3, 100.0), HeldStage(0, 6, 50.0)]
    assert reduction_end([stages], [4] * 6, 2, FLEET) == 100 + 3 * 4


PIPELINES = [
    [(PipelineTimes(1.0, 2.0), 1), (PipelineTimes(3.0, 3.0), 1)],
    [(PipelineTimes(1.0, 4.0), 2), (PipelineTimes(2.5, 2.5), 1)],
    [(PipelineTimes(1.0, 1.0), 2), (PipelineTimes(50.0, 50.0), 1)],
    [(PipelineTimes(0.7, 0.7), 3)],
]


@pytest.mark.parametrize("pipelines", PIPELINES)
@pytest.mark.parametrize("micro_batches", [3, 4, 9, 14])
def test_no_deal_of_micro_batches_ends_earlier(pipelines: list[tuple[PipelineTimes, int]], micro_batches: int) -> None:
    each = [times for times, copies in pipelines for _ in range(copies)]
    best = min(
        max(times.seconds(number) for times, number in zip(each, numbers, strict=True))
        for numbers in product(range(1, micro_batches + 1), repeat=len(each))
        if sum(numbers) == micro_batches
    )
    dealt = deal_micro_batches(pipelines, micro_batches)
    assert [len(numbers) for numbers in dealt] == [copies for _, copies in pipelines]
    flat = [number for numbers in dealt for number in numbers]
    assert sum(flat) == micro_batches and min(flat) >= 1
    end = max(times.seconds(number) for times, number in zip(each, flat, strict=True))
    assert end == pytest.approx(best)
    assert earliest_end(pipelines, micro_batches) <= end * (1 + 1e-9)
