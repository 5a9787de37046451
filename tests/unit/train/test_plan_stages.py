"""Plans of a training in pipeline stages, with numbers that follow by hand from the formulas."""

from dataclasses import replace
from typing import Any

import pytest

from components.train.balance.devices import DeviceKind, Link
from components.train.balance.measured_costs import LayerSeconds, PassSeconds
from components.train.balance.stage_layout import StageLayout
from components.train.memory import DecoderShape, head_bytes, layer_bytes
from components.train.methods.registry import parse_train_settings
from components.train.plan_split import TrainingDevices
from components.train.plan_stages import StagePlanner, chosen_micro_batches, recomputes
from components.train.settings import TrainSettings

LAYER, WORDS = 100_000, 200_000
SHAPE = DecoderShape(
    parameters=10 * LAYER + WORDS,
    trained=10 * LAYER + WORDS,
    hidden=100,
    layers=10,
    keys=100,
    queries=100,
    intermediate=400,
    vocabulary=2000,
    tied=True,
)
"""Ten layers and a head of two layers' weights, which are the embeddings: twelve equal parts."""
ROW, LONGEST = 100, 128
GB = 10**9
FREE = Link(bytes_a_second=1e30)


def devices(name: str, count: int = 1, memory: int = 40 * GB, link: Link = FREE, **speed: Any) -> TrainingDevices:
    return TrainingDevices(
        DeviceKind(name=name, count=count, memory_bytes=memory, per_node=8, link=link, network=link), **speed
    )


def settings(ranks: int, stages: dict[str, Any] | None = None, **values: Any) -> TrainSettings:
    """Eight rows a step, one in each micro-batch."""
    given = {"method": "sft", "global_batch": 8, "max_length": LONGEST, "gradient_checkpointing": False, **values}
    blocks = {"stages": {"micro_batches": 8, **(stages or {})}, "launch": {"processes_per_node": ranks}}
    return parse_train_settings({**given, **blocks})


def planner(kinds: list[TrainingDevices], shape: DecoderShape = SHAPE, **values: Any) -> StagePlanner:
    ranks = sum(each.kind.count for each in kinds)
    return StagePlanner(settings(ranks, **values), shape, kinds, ROW, LONGEST)


def even_and_balanced(made: StagePlanner) -> tuple[StageLayout, StageLayout]:
    even, balanced = made.layouts(1)
    return even, balanced


FAST, SLOW = devices("fast", tokens_a_second=3000.0), devices("slow", tokens_a_second=1000.0)


def test_the_head_counts_by_its_weights_and_embeddings_take_no_time() -> None:
    even, balanced = even_and_balanced(planner([devices("one", 2, tokens_a_second=1200.0)]))
    # A micro-batch of 100 tokens takes a device 1/12 s in all, so a part 1/144 s.
    assert (even.layers, balanced.layers) == ((5, 5), (6, 4))
    assert [stage.seconds for stage in even.stages] == pytest.approx([5 / 144, 7 / 144])
    assert [stage.seconds for stage in balanced.stages] == pytest.approx([6 / 144, 6 / 144])
    assert (even.slowest, balanced.slowest) == (pytest.approx(7 / 6), pytest.approx(1))
    assert even.why == "computing: all wait for one, layers 5 to 9, 1.17 times perfectly divided work"


def test_layers_follow_the_speed_of_their_devices_in_the_order_of_ranks() -> None:
    first, last = (even_and_balanced(planner(kinds))[1] for kinds in ([FAST, SLOW], [SLOW, FAST]))
    assert (first.layers, [stage.devices for stage in first.stages]) == ((9, 1), ["fast", "slow"])
    assert (last.layers, [stage.devices for stage in last.stages]) == ((3, 7), ["slow", "fast"])


def test_a_step_is_the_slowest_stage_for_each_micro_batch_and_the_filling() -> None:
    _, balanced = even_and_balanced(planner([devices("one", 2, tokens_a_second=1200.0)]))
    assert balanced.computing_seconds == pytest.approx((8 * 6 + 6) / 144)
    assert balanced.bubble == pytest.approx(6 / (8 * 6 + 6))
    assert balanced.reduce_seconds == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize(
    ("schedule", "filling"),
    # Four stages of three parts, two on each process: half of the filling of six parts is left.
    [("interleaved", 3), ("zero_bubble", 1)],
)
def test_schedules_leave_a_part_of_the_filling(schedule: str, filling: float) -> None:
    made = planner([devices("one", 2, tokens_a_second=1200.0)], stages={"count": 4, "schedule": schedule})
    _, balanced = even_and_balanced(made)
    assert balanced.layers == (3, 3, 3, 1)
    assert balanced.computing_seconds == pytest.approx((8 * 6 + filling) / 144)


def test_memory_is_the_layers_state_and_the_micro_batches_in_flight() -> None:
    even, _ = even_and_balanced(planner([devices("one", 2, tokens_a_second=1.0)], precision="bf16"))
    first, last = even.stages
    # Weight 2, gradient 4, master 4 and moments 8; five layers with the embeddings, or with the head.
    assert first.state_bytes == last.state_bytes == 18 * 7 * LAYER
    layer = LONGEST * layer_bytes(SHAPE, "bf16")
    assert first.activation_bytes == 2 * 5 * layer
    assert last.activation_bytes == 5 * layer + head_bytes(SHAPE, "bf16", LONGEST)
    assert first.usable_bytes == int(0.85 * 40 * GB) and even.fits


def test_recomputed_layers_keep_their_input_and_one_layer_at_a_time() -> None:
    kinds = [devices("one", 2, tokens_a_second=1.0)]
    first = even_and_balanced(planner(kinds, gradient_checkpointing=True, precision="bf16"))[0].stages[0]
    assert first.activation_bytes == 2 * 5 * LONGEST * 100 * 2 + LONGEST * layer_bytes(SHAPE, "bf16")


def test_activations_are_recomputed_where_the_layout_of_the_job_does_not_hold_them() -> None:
    auto: dict[str, Any] = {"gradient_checkpointing": "auto", "precision": "bf16"}
    both = [devices("one", 2, tokens_a_second=1.0)]
    assert [layout.recomputed for layout in planner(both, **auto).layouts(1)] == [False, False]
    kept = even_and_balanced(planner(both, **auto))[1]
    memory = int(0.4 * sum(stage.memory_bytes for stage in kept.stages) / 0.85)
    less = [devices("one", 2, memory=memory, tokens_a_second=1.0)]
    assert even_and_balanced(planner(less, **auto))[1].recomputed
    assert recomputes(settings(2, stages={"schedule": "zero_bubble"}, **auto)) is False


def test_adapters_have_no_optimizer_state_of_frozen_weights() -> None:
    adapted = replace(SHAPE, trained=1000)
    kinds = [devices("one", 2, tokens_a_second=1.0)]
    even, _ = even_and_balanced(planner(kinds, adapted, lora={"rank": 1}, precision="bf16"))
    assert even.stages[0].state_bytes == 2 * 7 * LAYER + 16 * 5 * 100


def test_a_small_device_gets_the_layers_that_it_holds() -> None:
    layer = 18 * LAYER + LONGEST * layer_bytes(SHAPE, "bf16")
    held = 2.5 * layer + 18 * WORDS + head_bytes(SHAPE, "bf16", LONGEST)
    roomy = devices("roomy", tokens_a_second=1000.0)
    small = devices("small", memory=int(held / 0.85), tokens_a_second=1000.0)
    even, balanced = even_and_balanced(planner([roomy, small], precision="bf16"))
    assert not even.fits and even.why.startswith("memory: small, layers 5 to 9 would need ")
    assert balanced.fits and balanced.layers == (8, 2)
    assert balanced.why == "memory: with more of it the slowest stage would be 33% faster (roomy, layers 0 to 7)"


def test_where_nothing_fits_the_fastest_layers_are_shown_with_the_reason() -> None:
    _, balanced = even_and_balanced(planner([devices("tiny", 2, memory=10**6, tokens_a_second=1.0)]))
    assert balanced.layers == (6, 4) and not balanced.fits
    assert balanced.why.endswith("more stages, more micro_batches, or a lower max_length")


def test_layers_that_are_given_are_shown_beside() -> None:
    made = planner([devices("one", 2, tokens_a_second=1200.0)], stages={"layers": [9, 1]})
    assert {layout.split: layout.layers for layout in made.layouts(1)} == {
        "even": (5, 5),
        "balanced": (6, 4),
        "given": (9, 1),
    }


def test_equal_pipelines_divide_the_devices_of_each_kind_and_the_rows() -> None:
    link = Link(bytes_a_second=1e6)
    kinds = [devices("fast", 2, link=link, tokens_a_second=3000.0), devices("slow", 4, link=link, tokens_a_second=1e3)]
    made = planner(kinds, precision="fp32")
    assert made.numbers() == [1, 2]
    _, two = made.layouts(2)
    assert [stage.devices for stage in two.stages] == ["fast", "slow", "slow"]
    assert (two.pipelines, two.micro_batches, two.positions) == (2, 4, ROW)
    gradients = 4 * max(LAYER * stage.layers + WORDS * (place in (0, 2)) for place, stage in enumerate(two.stages))
    # Gradients over two pipelines; then those of the embeddings, which first and last stage have.
    assert two.reduce_seconds == pytest.approx((gradients + 4 * WORDS) / 1e6)


def test_pipelines_of_a_recipe_divide_its_micro_batches_and_have_its_layers() -> None:
    kinds = [devices("one", 4, tokens_a_second=1200.0)]
    made = planner(kinds, stages={"pipelines": 2, "layers": [7, 3], "micro_batches": 7})
    even, balanced, given = made.layouts(2)
    assert (even.layers, balanced.layers, given.layers) == ((5, 5), (6, 4), (7, 3))
    assert {layout.micro_batches for layout in (even, balanced, given)} == {4}, "of seven, in the fuller pipeline"
    assert [len(layout.stages) for layout in made.layouts(1)] == [4, 4]
    assert planner([*kinds, devices("other", 2, tokens_a_second=1.0)], stages={"pipelines": 2}).numbers() == [1, 2]
    uneven = planner([devices("one", 3, tokens_a_second=1.0), devices("other", tokens_a_second=1.0)])
    assert uneven.refusal(2) == "2 pipelines cannot have equally many of each kind of device: 3 × one, 1 × other"


def test_no_pipeline_has_more_stages_than_layers() -> None:
    made = planner([devices("one", 12, tokens_a_second=1.0)], stages={"micro_batches": 12}, global_batch=12)
    assert made.numbers() == [2, 3, 4, 6]
    assert made.refusal(1) == "12 stages are more than the model's 10 layers"


def test_a_slow_link_between_stages_is_named() -> None:
    kinds = [devices("one", 2, link=Link(bytes_a_second=1e5), tokens_a_second=1200.0)]
    _, balanced = even_and_balanced(
        planner(kinds, replace(SHAPE, tied=False, parameters=14 * LAYER, trained=14 * LAYER))
    )
    # 100 tokens of 100 numbers of two bytes, there and back.
    assert balanced.stages[0].transfer_seconds == pytest.approx(0.4)
    assert balanced.why.startswith("transfers: ")


def measured(layer: float, head: float = 0.0) -> LayerSeconds:
    """Both passes equally long."""
    each = PassSeconds(forward=layer / 2, backward=layer / 2)
    return LayerSeconds(
        first=each, inner=each, last=PassSeconds(forward=(layer + head) / 2, backward=(layer + head) / 2)
    )


def test_measured_layers_decide_in_the_place_of_operations() -> None:
    _, balanced = even_and_balanced(
        planner([devices("one", layers=measured(1.0)), devices("other", layers=measured(4.0))])
    )
    assert (balanced.layers, balanced.computing_seconds) == ((8, 2), pytest.approx(8 * 8 + 8))
    heavy = [devices("one", layers=measured(1.0, head=4.0)), devices("other", layers=measured(1.0, head=4.0))]
    _, balanced = even_and_balanced(planner(heavy))
    assert balanced.layers == (7, 3) and balanced.stages[1].seconds == pytest.approx(7.0)


def test_measured_layers_that_are_recomputed_have_another_forward_pass() -> None:
    kinds = [devices("one", 2, layers=measured(1.0, head=2.0))]
    _, balanced = even_and_balanced(planner(kinds, gradient_checkpointing=True))
    assert [stage.seconds for stage in balanced.stages] == pytest.approx([6 * 1.5, 4 * 1.5 + 2])


def test_a_measured_link_between_kinds_holds_up_both_of_its_sides() -> None:
    one = devices("one", layers=measured(1.0), to_next=Link(bytes_a_second=1e30, latency_seconds=0.25))
    _, balanced = even_and_balanced(planner([one, devices("other", layers=measured(1.0))]))
    assert balanced.stages[0].transfer_seconds == pytest.approx(0.5)
    # Five layers on each; what crosses is passed once, and holds up both sides for each micro-batch.
    assert balanced.computing_seconds == pytest.approx(7 * (5 + 0.5) + 10 + 0.5)


def test_few_micro_batches_leave_pipelines_mostly_filling() -> None:
    kinds = [devices("one", 5, tokens_a_second=1.0)]
    stages = {"schedule": "interleaved", "count": 10, "micro_batches": 1}
    _, balanced = even_and_balanced(planner(kinds, replace(SHAPE, vocabulary=1), stages=stages))
    assert balanced.why.startswith("filling the pipeline: ") and "raise stages.micro_batches" in balanced.why
    assert chosen_micro_batches(100, 4) == 16 and chosen_micro_batches(8, 4) == 8


def test_relative_speeds_decide_layers_where_no_time_is_known() -> None:
    _, balanced = even_and_balanced(planner([devices("one", relative=1.0), devices("other", relative=1 / 3)]))
    assert (balanced.layers, balanced.step_seconds, balanced.stages[0].seconds) == ((9, 1), None, None)
    assert balanced.why.startswith("no time is predicted, since the speed of these devices is not known")
