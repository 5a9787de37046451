"""Plans of pipelines and data parallelism: the fastest arrangement, what binds it, and how it prints."""

from typing import Any

import pytest

from components.shared.errors import SettingsError
from components.train.balance.choose_plan import PlanSearch
from components.train.balance.devices import DeviceKind, Fleet, Link
from components.train.balance.layers import LayerCost
from components.train.balance.layouts import divisions, equal_pipelines, numbers_of_pipelines
from components.train.balance.plan import MixedPlan, PlanComparison

SPEEDS = {"fast": 4.0, "slow": 1.0}


def make_layers(number: int = 8, **changed: Any) -> list[LayerCost]:
    """Equal layers: 4 s on the slow kind, 1 s on the fast one, for both passes."""
    sizes = {"state_bytes": 10, "activation_bytes": 0, "output_bytes": 1, "gradient_bytes": 1} | changed
    return [
        LayerCost(
            name=f"layer {place}",
            forward_seconds={name: 1 / speed for name, speed in SPEEDS.items()},
            backward_seconds={name: 3 / speed for name, speed in SPEEDS.items()},
            **sizes,
        )
        for place in range(number)
    ]


def make_fleet(
    fast: int = 2, slow: int = 2, memory: int = 1000, slow_memory: int | None = None, **changed: Any
) -> Fleet:
    link = Link(bytes_a_second=changed.get("rate", 1e6))
    sizes = {"fast": memory, "slow": slow_memory or memory}
    return Fleet(
        kinds=tuple(
            DeviceKind(name=name, count=count, memory_bytes=sizes[name], link=link, network=link)
            for name, count in (("fast", fast), ("slow", slow))
            if count
        )
    )


def compare(layers: list[LayerCost], fleet: Fleet, micro_batches: int = 40, **changed: int) -> PlanComparison:
    return PlanSearch(layers, fleet, micro_batches, **changed).compare()


def device_counts(plan: MixedPlan) -> dict[str, int]:
    found = dict(plan.idle)
    for each in plan.pipelines:
        for stage in each.stages:
            found[stage.kind] = found.get(stage.kind, 0) + each.copies
    return found


def test_what_fits_everywhere_is_trained_data_parallel_in_proportion_to_speed() -> None:
    """Reduction is cheap, and without stages nothing is lost to filling pipelines."""
    plan = compare(make_layers(), make_fleet()).balanced
    assert all(len(each.stages) == 1 for each in plan.pipelines)
    assert {each.stages[0].kind: each.micro_batches for each in plan.pipelines} == {"fast": 16, "slow": 4}
    assert plan.step_seconds == pytest.approx(40 * 8 * 4 / (2 * 4 + 2 * 1), rel=1e-3)


def test_an_even_plan_waits_for_the_slowest() -> None:
    found = compare(make_layers(), make_fleet())
    assert found.even is not None
    assert found.even.step_seconds > 1.2 * found.balanced.step_seconds


def test_devices_that_cannot_hold_the_model_share_pipelines() -> None:
    found = compare(make_layers(), make_fleet(memory=20))
    assert all(len(each.stages) > 1 for each in found.balanced.pipelines)
    assert all(
        stage.memory_bytes <= stage.memory_limit_bytes for each in found.balanced.pipelines for stage in each.stages
    )
    assert found.balanced.bound.startswith("memory: without limits the slowest stage is 50% faster")


@pytest.mark.parametrize("memory", [30, 50, 100])
@pytest.mark.parametrize("counts", [(2, 2), (3, 2), (5, 7)])
def test_every_device_and_micro_batch_is_accounted_for(counts: tuple[int, int], memory: int) -> None:
    found = compare(make_layers(), make_fleet(*counts, memory=memory), micro_batches=37)
    for plan in filter(None, (found.balanced, found.even)):
        assert plan.micro_batches == 37
        assert device_counts(plan) == dict(zip(SPEEDS, counts, strict=True))
        for each in plan.pipelines:
            assert [stage.first for stage in each.stages] == [0, *(stage.end for stage in each.stages[:-1])]
            assert each.stages[-1].end == 8
    assert found.even is None or found.balanced.step_seconds <= found.even.step_seconds * (1 + 1e-9)


def test_activations_of_micro_batches_in_flight_are_counted() -> None:
    layers = make_layers(4, state_bytes=1, activation_bytes=3)
    plan = compare(layers, make_fleet(fast=2, slow=0, memory=14)).balanced
    assert [[stage.memory_bytes for stage in each.stages] for each in plan.pipelines] == [[14, 8]]


@pytest.mark.parametrize(
    ("layers", "fleet", "bound"),
    [
        (make_layers(), make_fleet(), "computing: "),
        (make_layers(2), make_fleet(fast=2, slow=0, memory=12), "one layer, which is not divided: fast"),
        (make_layers(2, output_bytes=10**9), make_fleet(fast=2, slow=0, memory=12), "transfers: fast, layers 0 to 0"),
    ],
    ids=["computing", "one-layer", "transfers"],
)
def test_what_binds_is_named(layers: list[LayerCost], fleet: Fleet, bound: str) -> None:
    assert compare(layers, fleet).balanced.bound.startswith(bound)


def test_gradients_over_a_slow_network_are_what_binds() -> None:
    fleet = make_fleet(fast=2, slow=0)
    plan = compare(make_layers(gradient_bytes=10**9), fleet, micro_batches=2, most_stages=1).balanced
    assert plan.bound == "reducing gradients"


def test_few_micro_batches_leave_a_pipeline_mostly_filling() -> None:
    layers = make_layers(8)
    plan = compare(layers, make_fleet(fast=8, slow=0, memory=10), micro_batches=2).balanced
    assert plan.bound == "filling the pipeline"


def test_slow_devices_that_do_not_help_are_left_out() -> None:
    """Gradients over the network cost more than the slow devices gain."""
    fleet = make_fleet(fast=1, slow=1, rate=1.0)
    plan = compare(make_layers(gradient_bytes=1000, output_bytes=1000), fleet, micro_batches=4).balanced
    assert plan.idle == {"slow": 1}
    assert plan.number == 1


def test_a_model_that_fits_nowhere_is_refused_with_both_sizes() -> None:
    with pytest.raises(SettingsError, match="no pipelines of at most 8 stages") as refused:
        compare(make_layers(state_bytes=2**30), make_fleet(memory=2**30))
    assert "it needs 8.0 GiB, and the devices have 4.0 GiB together" in str(refused.value)


def test_an_even_plan_that_does_not_fit_is_reported() -> None:
    found = compare(make_layers(), make_fleet(fast=1, slow=1, memory=70, slow_memory=10))
    assert found.even is None
    assert "equal layers fit the memory in no layout" in str(found)


def test_a_plan_prints_as_a_table_and_is_read_back() -> None:
    found = compare(make_layers(), make_fleet(memory=60, slow_memory=20))
    head, _, *rows = str(found).splitlines()
    assert all(row.count("|") == head.count("|") for row in rows)
    assert f"{found.balanced.step_seconds:.3f}" in rows[0] and found.balanced.bound in rows[0]
    assert PlanComparison.model_validate_json(found.model_dump_json()) == found


def test_divisions_are_all_ways_to_share_pipelines() -> None:
    assert list(divisions([0, 1])) == [((0,),), ((1,),), ((0,), (1,)), ((0, 1),)]
    assert len(list(divisions(range(3)))) == 3 * 1 + 3 * 2 + 5


def test_pipelines_of_a_block_differ_by_at_most_one_device_of_a_kind() -> None:
    assert equal_pipelines([7, 4], 3) == [((3, 2), 1), ((2, 1), 2)]
    for pipelines in numbers_of_pipelines([7, 4], most_stages=4):
        found = equal_pipelines([7, 4], pipelines)
        assert sum(copies for _, copies in found) == pipelines
        assert [sum(used[kind] * copies for used, copies in found) for kind in (0, 1)] == [7, 4]
        assert all(0 < sum(used) <= 5 for used, _ in found)
