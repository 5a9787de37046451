"""The simulation of unequal cards: its schedule, its rings, and its agreement with the closed formulas."""

from collections.abc import Sequence
from itertools import accumulate

import pytest

from benchmarks.sizing import MODELS
from benchmarks.unequal.__main__ import BY_NAME, CASES, TOKENS, deal_rows, tables
from benchmarks.unequal.cards import CARDS, make_fleet, make_layers
from benchmarks.unequal.simulate import PipelineRun, StageSeconds, schedule, simulate_step
from components.train.balance.choose_plan import PlanSearch
from components.train.balance.step_time import PipelineTimes, ring_seconds


def run(stages: Sequence[StageSeconds], micro_batches: int) -> float:
    return max(PipelineRun(stages, micro_batches, lambda: 1.0).run())


@pytest.mark.parametrize("micro_batches", [1, 3, 9])
@pytest.mark.parametrize("stages", [1, 2, 4])
def test_a_stage_holds_as_many_micro_batches_as_there_are_stages_from_it(stages: int, micro_batches: int) -> None:
    for stage in range(stages):
        passes = schedule(stage, stages, micro_batches)
        held = list(accumulate(1 if each == "forward" else -1 for each in passes))
        assert max(held) == min(micro_batches, stages - stage)
        assert held[-1] == 0 and passes.count("backward") == micro_batches


@pytest.mark.parametrize("micro_batches", [1, 4, 12])
@pytest.mark.parametrize("stages", [1, 3, 5])
def test_equal_stages_take_what_the_formula_says(stages: int, micro_batches: int) -> None:
    equal = [StageSeconds(1.0, 2.0, 0.0, 0.0)] * stages
    assert run(equal, micro_batches) == pytest.approx((micro_batches + stages - 1) * 3.0)


@pytest.mark.parametrize("slow", [0, 1, 2])
def test_the_slowest_stage_determines_the_rate(slow: int) -> None:
    stages = [StageSeconds(1.0, 2.0, 0.0, 0.0)] * 3
    stages[slow] = StageSeconds(2.0, 4.0, 0.0, 0.0)
    assert run(stages, 41) - run(stages, 40) == pytest.approx(6.0)
    assert run(stages, 40) == pytest.approx(PipelineTimes(slowest=6.0, passing=12.0).seconds(40), rel=0.03)


def test_sending_keeps_a_device_busy() -> None:
    stages = [StageSeconds(1.0, 2.0, 0.5, 0.0), StageSeconds(1.0, 2.0, 0.0, 0.25)]
    assert run(stages, 1) == pytest.approx(1.0 + 0.5 + 1.0 + 2.0 + 0.25 + 2.0)
    assert run(stages, 51) - run(stages, 50) == pytest.approx(3.5)


def test_rings_of_equal_devices_take_what_the_formula_says() -> None:
    fleet = make_fleet({"A100-80": 16})
    layers = make_layers(BY_NAME["Qwen2-0.5B"], fleet.names, 1024)
    plan = PlanSearch(layers, fleet, 16, most_stages=1).best("balanced")
    assert plan is not None and plan.number == 16
    computing = sum(layer.forward_seconds["A100-80"] + layer.backward_seconds["A100-80"] for layer in layers)
    link = fleet.ring_link([0], 16)
    expected = computing + sum(ring_seconds(layer.gradient_bytes, 16, link) for layer in layers)
    assert simulate_step(plan, layers, fleet) == pytest.approx(expected)
    assert plan.step_seconds == pytest.approx(expected)


def test_a_step_of_mixed_cards_takes_about_what_is_predicted() -> None:
    fleet = make_fleet({"A100-40": 2, "A10": 2})
    layers = make_layers(BY_NAME["Qwen2.5-3B"], fleet.names, 1024)
    found = PlanSearch(layers, fleet, 32).compare()
    simulated = simulate_step(found.balanced, layers, fleet)
    assert simulated == pytest.approx(found.balanced.step_seconds, rel=0.1)
    assert found.even is None or simulated < simulate_step(found.even, layers, fleet)


@pytest.mark.parametrize("name", CASES)
def test_predictions_are_within_a_tenth_of_the_simulation(name: str) -> None:
    """Also where rings pass through pipelines that are cut in different places, one after the other."""
    case = CASES[name]
    fleet = make_fleet(case.cards)
    layers = make_layers(BY_NAME[case.model], fleet.names, TOKENS)
    found = PlanSearch(layers, fleet, case.micro_batches).compare()
    assert found.even is not None
    for plan in (found.balanced, found.even):
        assert plan.step_seconds == pytest.approx(simulate_step(plan, layers, fleet), rel=0.1)


def test_noise_is_seeded() -> None:
    fleet = make_fleet({"A100-40": 2})
    layers = make_layers(BY_NAME["Qwen2-0.5B"], fleet.names, 256)
    plan = PlanSearch(layers, fleet, 8).compare().balanced
    noisy = [simulate_step(plan, layers, fleet, 0.05, seed) for seed in (1, 1, 2)]
    assert noisy[0] == noisy[1] != noisy[2]


def test_layers_have_all_parameters_of_their_model() -> None:
    for model in MODELS:
        layers = make_layers(model, list(CARDS), 128)
        copies = model.vocabulary * model.hidden if model.tied else 0
        assert sum(layer.gradient_bytes for layer in layers) == pytest.approx(2 * (model.parameters + copies), rel=1e-6)


def test_the_head_is_a_quarter_of_a_small_model() -> None:
    layers = make_layers(BY_NAME["Qwen2-0.5B"], ["A10"], 128)
    forward = [layer.forward_seconds["A10"] for layer in layers]
    assert forward[-1] / sum(forward) == pytest.approx(0.25, abs=0.05)


def test_cases_have_the_cards_that_they_are_named_for() -> None:
    assert [sum(case.cards.values()) for case in CASES.values()] == [int(name) for name in CASES]


def test_rows_on_eight_cards_end_near_the_bound_and_far_from_it_when_dealt_evenly() -> None:
    found = deal_rows({"A100-80": 1, "A100-40": 1, "L40S": 2, "A10": 2, "T4": 2})
    ratio = found["ratio_to_bound"]
    assert ratio["balanced"] < 1.05
    assert ratio["even"] > 2
    assert "1 A100-80" in tables({"pipelines": {}, "ranks": {"8": found}})
