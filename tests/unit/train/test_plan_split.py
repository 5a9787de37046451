"""Plans of a training over unequal devices, with numbers that follow by hand from the formulas."""

from typing import Any

import pytest

from components.train.balance.devices import DeviceKind, Link
from components.train.balance.work import operations
from components.train.memory import DecoderShape
from components.train.methods.registry import parse_train_settings
from components.train.plan_split import TrainingDevices, least_bytes, plan_split, reference_seconds
from components.train.settings import TrainSettings

SHAPE = DecoderShape(10**9, 10**9, hidden=1024, layers=16, keys=256, queries=1024, intermediate=4096, vocabulary=32_000)
ADAPTED = DecoderShape(
    10**9, 10**7, hidden=1024, layers=16, keys=256, queries=1024, intermediate=4096, vocabulary=32_000
)
ROW = 100
GB = 10**9


def devices(name: str, count: int = 1, memory: int = 40 * GB, **speed: Any) -> TrainingDevices:
    link = Link(bytes_a_second=20e9)
    kind = DeviceKind(name=name, count=count, memory_bytes=memory, per_node=1, link=link, network=link)
    return TrainingDevices(kind, **speed)


def settings(ranks: int = 2, **values: Any) -> TrainSettings:
    """Eight rows a step in micro-batches of two."""
    given = {"method": "sft", "global_batch": 8, "micro_batch": 2, "max_length": 128, **values}
    return parse_train_settings({**given, "launch": {"processes_per_node": ranks}})


FAST, SLOW = devices("fast", tokens_a_second=3000.0), devices("slow", tokens_a_second=1000.0)


def test_evenly_the_slow_device_decides_the_step() -> None:
    plan = plan_split(settings(), SHAPE, [FAST, SLOW], ROW)
    fast, slow = plan.groups
    assert (fast.tokens, slow.tokens, fast.share, slow.share) == (400, 400, 0.5, 0.5)
    assert fast.seconds == pytest.approx(0.4 / 3) and slow.seconds == pytest.approx(0.4)
    assert fast.waits == pytest.approx(2 / 3) and slow.waits == 0
    assert plan.bound_seconds == pytest.approx(0.2)
    # Half of 2 GB to the neighbour and back, at 20 GB/s.
    assert plan.transfer_seconds == pytest.approx(0.1) and plan.step_seconds == pytest.approx(0.5)
    assert plan.why == "computing: all wait for slow (fast 67% of the passes): 2.00 times the bound"


def test_balanced_both_end_together() -> None:
    plan = plan_split(settings(shares="speed"), SHAPE, [FAST, SLOW], ROW)
    assert [group.tokens for group in plan.groups] == [600, 200]
    assert [group.seconds for group in plan.groups] == pytest.approx([0.2, 0.2])
    assert plan.step_seconds == pytest.approx(0.3)
    assert (plan.split, plan.why) == ("balanced", "computing: all ranks end within 5 % of the bound")


def test_too_few_rows_to_divide_by_speed_are_named() -> None:
    plan = plan_split(settings(shares="speed", global_batch=2), SHAPE, [FAST, SLOW], ROW)
    assert [group.tokens for group in plan.groups] == [100, 100]
    assert plan.why == (
        "rows: a step has too few to divide them by speed, 2.00 times the bound (slow is the last): raise global_batch"
    )


@pytest.mark.parametrize(
    ("stage", "state", "transfers"),
    [
        (1, 10 * GB, 0.1),  # weights, gradients, half of 12 bytes; one ring
        (2, 9 * GB, 0.15),  # half of the gradients; sums in both passes, then the weights
        (3, 8 * GB, 0.3),  # half of all; in each of two passes sums, and the weights twice
    ],
)
def test_stages_hold_and_transfer_what_they_shard(stage: int, state: int, transfers: float) -> None:
    plan = plan_split(settings(deepspeed={"stage": stage}), SHAPE, [FAST, SLOW], ROW)
    assert (plan.stage, {group.state_bytes for group in plan.groups}) == (stage, {state})
    assert plan.transfer_seconds == pytest.approx(transfers)


def test_a_slow_link_binds() -> None:
    link = Link(bytes_a_second=1e9)
    far = TrainingDevices(SLOW.kind.model_copy(update={"network": link}), tokens_a_second=1000.0)
    plan = plan_split(settings(shares="speed"), SHAPE, [FAST, far], ROW)
    assert plan.transfer_seconds == pytest.approx(2.0)
    assert plan.why == "transfers: 91% of a step, at the network of slow"


def test_published_operations_give_the_speed_of_what_is_computed() -> None:
    published = devices("published", 2, operations=5e13)
    kept = plan_split(settings(gradient_checkpointing=False), SHAPE, [published], ROW)
    again = plan_split(settings(gradient_checkpointing=True), SHAPE, [published], ROW)
    assert kept.groups[0].tokens_a_second == pytest.approx(0.35 * 5e13 / 6e9)
    assert again.groups[0].tokens_a_second == pytest.approx(0.35 * 5e13 / 8e9)
    assert again.why.startswith("memory: activations are recomputed")
    assert operations(ADAPTED, recomputed=False) == 4 * 10**9 + 2 * 10**7


def test_what_does_not_fit_is_marked_with_the_device() -> None:
    small = devices("small", memory=11 * GB, tokens_a_second=1000.0)
    plan = plan_split(settings(deepspeed={"stage": 1}), SHAPE, [FAST, small], ROW)
    assert [group.fits for group in plan.groups] == [True, False] and not plan.fits
    assert plan.groups[1].usable_bytes == int(0.85 * 11 * GB)
    assert plan.why.startswith("memory: small would need ") and "8.7 GiB are usable" in plan.why


def test_each_device_has_the_budget_that_its_memory_allows() -> None:
    small = devices("small", memory=16 * GB, tokens_a_second=1000.0)
    passes: dict[str, Any] = {"micro_batch_tokens": "auto", "micro_batch": 2000, "gradient_checkpointing": False}
    auto = settings(shares="speed", max_length=1024, global_batch=4000, **passes)
    plan = plan_split(auto, SHAPE, [devices("large", memory=80 * GB, tokens_a_second=3000.0), small], ROW)
    large, tight = plan.groups
    assert large.positions == 16_384 > tight.positions > 1024
    assert all(group.fits for group in plan.groups)


def test_without_speeds_no_time_is_predicted() -> None:
    plan = plan_split(settings(), SHAPE, [devices("unknown", 2)], ROW)
    assert (plan.step_seconds, plan.groups[0].seconds, plan.groups[0].share) == (None, None, 0.5)
    assert plan.why == "no time is predicted, since the speed of these devices is not known"


def test_relative_speeds_deal_rows_where_no_time_is_known() -> None:
    ranks = [devices("one", relative=1.0), devices("other", relative=1 / 3)]
    plan = plan_split(settings(shares="speed"), SHAPE, ranks, ROW)
    assert ([group.tokens for group in plan.groups], plan.step_seconds) == ([600, 200], None)


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        ({"method": "sft"}, 0.0),
        # 10,000 tokens evenly on two ranks; 2 of 6 operations a token.
        ({"method": "dpo"}, 5000 / 3 / 1000),
        # Rows and mismatched pairs: 4 of 8 operations.
        ({"method": "kto", "kto": {"kl_batch": 8}}, 5000 / 2 / 1000),
    ],
)
def test_the_reference_takes_forward_passes_over_all_rows_once(given: dict[str, Any], seconds: float) -> None:
    chosen = settings(**given)
    plan = plan_split(chosen, SHAPE, [FAST, SLOW], ROW)
    assert reference_seconds(chosen, SHAPE, plan, 10_000) == pytest.approx(seconds)


def test_a_pairs_forward_pass_has_room_for_both_responses() -> None:
    assert plan_split(settings(), SHAPE, [FAST, SLOW], ROW).groups[0].positions == 2 * 128
    assert plan_split(settings(method="dpo"), SHAPE, [FAST, SLOW], ROW).groups[0].positions == 2 * 2 * 128


def test_the_least_memory_is_that_of_the_stage_that_is_set() -> None:
    kept = least_bytes(settings(deepspeed={"stage": 1}), SHAPE, on_cpu=False)
    sharded = least_bytes(settings(), SHAPE, on_cpu=False)
    assert 10 * GB < kept < 10.5 * GB and 8 * GB < sharded < 8.5 * GB
    assert least_bytes(settings(), SHAPE, on_cpu=True) > sharded + 4 * GB
