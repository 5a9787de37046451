"""The partition of layers over unequal devices, against every partition that there is."""

from collections.abc import Iterator, Sequence
from itertools import combinations, product

import numpy as np
import pytest

from components.shared.errors import SettingsError
from components.train.balance.devices import DeviceKind, Fleet, Link
from components.train.balance.layers import UNLIMITED, CostTables, LayerCost, cost_tables
from components.train.balance.partition import (
    Partition,
    PartitionTable,
    Stage,
    busy_seconds,
    fastest_partition,
    partition_in_order,
    stage_times,
    stages_fit,
)

NAMES = ("fast", "slow", "tiny")


def random_fleet(draws: np.random.Generator, kinds: int, memory: int) -> Fleet:
    """Up to three devices of each kind, with random memory, links and networks."""

    def link() -> Link:
        return Link(bytes_a_second=float(draws.uniform(1, 20)), latency_seconds=float(draws.uniform(0, 0.2)))

    return Fleet(
        kinds=tuple(
            DeviceKind(
                name=name,
                count=int(draws.integers(1, 4)),
                memory_bytes=int(draws.integers(memory // 2, memory)),
                link=link(),
                network=link(),
            )
            for name in NAMES[:kinds]
        )
    )


def random_layers(draws: np.random.Generator, number: int) -> list[LayerCost]:
    """Layers whose costs differ, on each kind by a factor of their own."""

    def seconds() -> dict[str, float]:
        return {name: float(draws.uniform(0.1, 3)) for name in NAMES}

    return [
        LayerCost(
            name=f"layer {place}",
            forward_seconds=seconds(),
            backward_seconds=seconds(),
            state_bytes=int(draws.integers(1, 10)),
            activation_bytes=int(draws.integers(0, 4)),
            output_bytes=int(draws.integers(1, 10)),
            gradient_bytes=1,
        )
        for place in range(number)
    ]


def all_partitions(layers: int, counts: Sequence[int]) -> Iterator[list[Stage]]:
    """Every cut of the layers on every order of kinds."""
    for number in range(1, min(layers, sum(counts)) + 1):
        for kinds in product(range(len(counts)), repeat=number):
            if all(kinds.count(kind) <= most for kind, most in enumerate(counts)):
                for cuts in combinations(range(1, layers), number - 1):
                    edges = (0, *cuts, layers)
                    yield [Stage(kind, edges[place], edges[place + 1]) for place, kind in enumerate(kinds)]


def slowest(costs: CostTables, stages: Sequence[Stage]) -> float:
    return max(computing + moving for computing, moving in stage_times(costs, stages))


def best_of_all(costs: CostTables, counts: Sequence[int], micro_batches: int) -> dict[tuple[int, ...], float]:
    """The slowest stage of the best partition, by the devices that it uses."""
    found: dict[tuple[int, ...], float] = {}
    for stages in all_partitions(costs.layers, counts):
        if stages_fit(costs, stages, micro_batches):
            used = tuple(sum(stage.kind == kind for stage in stages) for kind in range(len(counts)))
            found[used] = min(found.get(used, np.inf), slowest(costs, stages))
    return found


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("kinds", [1, 2, 3])
def test_no_partition_is_better_than_the_one_found(kinds: int, seed: int) -> None:
    draws = np.random.default_rng([seed, kinds])
    fleet = random_fleet(draws, kinds, memory=[30, 60, 200][seed % 3])
    costs, counts = cost_tables(random_layers(draws, 6), fleet), [kind.count for kind in fleet.kinds]
    micro_batches = [1, 2, UNLIMITED][seed % 3]
    table, expected = (
        PartitionTable(costs, counts, micro_batches=micro_batches),
        best_of_all(costs, counts, micro_batches),
    )
    for used in product(*(range(count + 1) for count in counts)):
        found = table.partition(used)
        assert (found is None) == (used not in expected), used
        if found is not None:
            assert found.slowest_seconds == pytest.approx(expected[used])
            assert_is_a_partition(found, costs, micro_batches)
            assert [sum(stage.kind == kind for stage in found.stages) for kind in range(kinds)] == list(used)
    best = table.best_partition()
    assert (best is None) == (not expected)
    assert best is None or best.slowest_seconds == pytest.approx(min(expected.values()))
    assert fastest_partition(costs, counts, micro_batches=micro_batches) == best


@pytest.mark.parametrize("seed", range(12))
def test_no_partition_over_devices_in_an_order_is_better_than_the_one_found(seed: int) -> None:
    draws = np.random.default_rng(seed)
    fleet = random_fleet(draws, 2, memory=[30, 60, 200][seed % 3])
    costs, micro_batches = cost_tables(random_layers(draws, 6), fleet), [1, 2, UNLIMITED][seed % 3]
    for kinds in [(0, 1), (1, 0), (0, 0, 1), (1, 0, 1, 1)]:
        every = [
            [Stage(kind, first, end) for kind, first, end in zip(kinds, (0, *cuts), (*cuts, 6), strict=True)]
            for cuts in combinations(range(1, 6), len(kinds) - 1)
        ]
        expected = [max(busy_seconds(costs, stages)) for stages in every if stages_fit(costs, stages, micro_batches)]
        found = partition_in_order(costs, kinds, micro_batches)
        assert (found is None) == (not expected)
        if found is not None:
            assert found.slowest_seconds == pytest.approx(min(expected))
            assert [stage.kind for stage in found.stages] == list(kinds)
            assert_covers_all_layers(found, costs)
            assert stages_fit(costs, found.stages, micro_batches)
            assert max(busy_seconds(costs, found.stages)) == pytest.approx(found.slowest_seconds)


def test_a_middle_stage_waits_for_what_crosses_both_its_boundaries() -> None:
    draws = np.random.default_rng(0)
    costs = cost_tables(random_layers(draws, 6), random_fleet(draws, 2, memory=200))
    stages = [Stage(0, 0, 2), Stage(1, 2, 4), Stage(0, 4, 6)]
    (first, after), (second, later), (third, _) = stage_times(costs, stages)
    assert after > 0 and later > 0
    assert busy_seconds(costs, stages) == pytest.approx([first + after, after + second + later, later + third])


def test_stages_beside_one_that_cannot_be_faster_are_nearly_equal() -> None:
    """The last layer takes as long as eight others: no cut of these changes the slowest stage."""
    layers = uniform_layers(13, ratio=1)
    seconds = {name: 8 * value for name, value in layers[-1].forward_seconds.items()}
    backward = {name: 8 * value for name, value in layers[-1].backward_seconds.items()}
    layers[-1] = layers[-1].model_copy(update={"forward_seconds": seconds, "backward_seconds": backward})
    found = partition_in_order(cost_tables(layers, pair_of_kinds()), [0, 0, 0])
    assert found is not None and [stage.end - stage.first for stage in found.stages] == [6, 6, 1]


def assert_is_a_partition(found: Partition, costs: CostTables, micro_batches: int) -> None:
    """Contiguous stages over all layers that fit and are as slow as is said."""
    assert_covers_all_layers(found, costs)
    assert stages_fit(costs, found.stages, micro_batches)
    assert slowest(costs, found.stages) == pytest.approx(found.slowest_seconds)


def uniform_layers(number: int, ratio: float, **changed: int) -> list[LayerCost]:
    """Equal layers that take 1 s on the fast kind and `ratio` on the slow one."""
    sizes = {"state_bytes": 1, "activation_bytes": 0, "output_bytes": 0, "gradient_bytes": 1} | changed
    return [
        LayerCost(
            name=f"layer {place}",
            forward_seconds={"fast": 0.25, "slow": 0.25 * ratio},
            backward_seconds={"fast": 0.75, "slow": 0.75 * ratio},
            **sizes,
        )
        for place in range(number)
    ]


def pair_of_kinds(memory: tuple[int, int] = (1000, 1000)) -> Fleet:
    link = Link(bytes_a_second=1e9)
    return Fleet(
        kinds=tuple(
            DeviceKind(name=name, count=1, memory_bytes=size, link=link, network=link)
            for name, size in zip(NAMES, memory, strict=False)
        )
    )


def layers_by_kind(fleet: Fleet, layers: Sequence[LayerCost]) -> dict[int, int]:
    found = PartitionTable(cost_tables(layers, fleet), [1, 1]).partition([1, 1])
    assert found is not None
    return {stage.kind: stage.end - stage.first for stage in found.stages}


def test_layers_are_in_proportion_to_speed() -> None:
    assert layers_by_kind(pair_of_kinds(), uniform_layers(12, ratio=3)) == {0: 9, 1: 3}


def test_a_device_gets_no_more_layers_than_its_memory_holds() -> None:
    assert layers_by_kind(pair_of_kinds(memory=(6, 1000)), uniform_layers(12, ratio=3)) == {0: 6, 1: 6}


def test_the_last_stage_holds_the_fewest_activations() -> None:
    """Two micro-batches in flight before the last stage, so the small device is the last."""
    layers = uniform_layers(8, ratio=1, state_bytes=0, activation_bytes=1)
    found = PartitionTable(cost_tables(layers, pair_of_kinds(memory=(4, 8))), [1, 1]).partition([1, 1])
    assert found is not None
    assert [(stage.kind, stage.end) for stage in found.stages] == [(1, 4), (0, 8)]


def test_more_devices_are_used_only_where_they_help() -> None:
    link = Link(bytes_a_second=1.0)
    fleet = Fleet(kinds=(DeviceKind(name="fast", count=2, memory_bytes=99, link=link, network=link),))
    found = PartitionTable(cost_tables(uniform_layers(2, 1, output_bytes=10), fleet), [2]).best_partition()
    assert found is not None and len(found.stages) == 1


def test_a_cost_that_was_not_measured_is_refused() -> None:
    with pytest.raises(SettingsError, match="layer 0: no forward_seconds on tiny"):
        link = Link(bytes_a_second=1.0)
        tiny = DeviceKind(name="tiny", count=1, memory_bytes=9, link=link, network=link)
        cost_tables(uniform_layers(1, 1), Fleet(kinds=(tiny,)))


def test_kinds_of_one_name_are_refused() -> None:
    kind = pair_of_kinds().kinds[0]
    with pytest.raises(ValueError, match="each name must be unique"):
        Fleet(kinds=(kind, kind))


def assert_covers_all_layers(found: Partition, costs: CostTables) -> None:
    """Contiguous stages from the first layer to the last."""
    edges = [(stage.first, stage.end) for stage in found.stages]
    assert [first for first, _ in edges] == [0, *(end for _, end in edges[:-1])]
    assert edges[-1][1] == costs.layers
