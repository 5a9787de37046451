"""The estimate of a training's memory against what autograd keeps and ZeRO's paper says, and its choices."""

import dataclasses
from typing import Any

import pytest
import torch

from benchmarks.saved_bytes import saved_bytes
from components.train.memory import (
    DecoderShape,
    Generation,
    Need,
    PassSize,
    activation_bytes,
    fit_tokens,
    generation_bytes,
    host_copies,
    layer_bytes,
    make_plan,
    shape_of,
    state_bytes,
)

GIB = 2**30
QWEN = DecoderShape(494_000_000, 494_000_000, 896, 24, 128, 896, 4864, 151_936)
"""Qwen2-0.5B."""


def need(**changed: Any) -> Need:
    """A training of Qwen2-0.5B in bf16 on two processes, 2,048 positions at once."""
    return dataclasses.replace(Need(QWEN, "bf16", 2, 2048), **changed)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_layer_keeps_what_autograd_saves(precision: Any) -> None:
    """Of two depths the difference, so that what does not grow with the layers is left out."""
    from transformers import Qwen2Config, Qwen2Model

    def kept(layers: int) -> int:
        config = Qwen2Config(
            vocab_size=64,
            hidden_size=128,
            intermediate_size=640,
            num_hidden_layers=layers,
            num_attention_heads=4,
            num_key_value_heads=2,
            attention_dropout=0.0,
        )
        model = Qwen2Model(config).to(torch.bfloat16 if precision == "bf16" else torch.float32)
        ids = torch.ones(2, 128, dtype=torch.long)
        return saved_bytes(model.parameters(), lambda: model(input_ids=ids, use_cache=False).last_hidden_state)

    shape = DecoderShape(0, 0, 128, 1, 64, 128, 640, 64)
    assert layer_bytes(shape, precision) * 256 == pytest.approx(kept(3) - kept(2), rel=0.12)


def drawing_peak(shape: DecoderShape, precision: str, drawn: Generation) -> int:
    """The most bytes that drawing rollouts holds at a time, beside the weights."""
    from transformers import GenerationConfig, Qwen2Config, Qwen2ForCausalLM

    from benchmarks.training.peak import measuring
    from components.models.generators.generator import Sampling
    from components.train.rollouts.draw import draw, rollout_config

    heads = 4
    config = Qwen2Config(
        vocab_size=shape.vocabulary,
        hidden_size=shape.hidden,
        intermediate_size=shape.intermediate,
        num_hidden_layers=shape.layers,
        num_attention_heads=heads,
        num_key_value_heads=shape.keys * heads // shape.hidden,
    )
    model = Qwen2ForCausalLM(config).to(torch.bfloat16 if precision == "bf16" else torch.float32).eval()
    sampling = Sampling(temperature=1.0, max_tokens=drawn.response)
    generation = GenerationConfig(**rollout_config(sampling, 0, [-1]))  # no token ends an answer
    keys = [str(row) for row in range(drawn.rows)]
    with torch.no_grad(), measuring() as peak:
        draw(model, [[1] * drawn.prompt] * drawn.rows, keys, sampling, generation)
    return peak.bytes


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize(
    ("shape", "drawn"),
    [
        pytest.param(DecoderShape(0, 0, 64, 2, 32, 64, 128, 20_000), Generation(16, 8, 4), id="logits"),
        pytest.param(DecoderShape(0, 0, 128, 2, 64, 128, 640, 64), Generation(8, 256, 4), id="prompts"),
        pytest.param(DecoderShape(0, 0, 128, 6, 128, 128, 256, 64), Generation(8, 16, 120), id="keys and values"),
    ],
)
def test_drawing_takes_what_the_allocator_gives_out(precision: Any, shape: DecoderShape, drawn: Generation) -> None:
    """In each case another part of it is the largest."""
    assert generation_bytes(shape, precision, drawn) == pytest.approx(drawing_peak(shape, precision, drawn), rel=0.25)


def test_drawing_counts_where_it_takes_more_than_a_forward_pass() -> None:
    """Qwen2-0.5B: 64 rollouts of 1,024 tokens after prompts of 1,024, beside a micro-batch of 512 positions."""
    drawn = Generation(64, 1024, 1024)
    plain, drawing = need(tokens=512).estimate(1, recomputed=False), need(tokens=512, drawn=drawn).estimate(1, False)
    assert plain.activations == drawing.activations < drawing.generation == generation_bytes(QWEN, "bf16", drawn)
    assert drawing.total - plain.total == drawing.generation - drawing.activations
    gathered = need(ranks=4, drawn=drawn).estimate(3, recomputed=False).generation - drawing.generation
    assert gathered == QWEN.parameters * 2 * 3 // 4
    free = int(plain.total / 0.8)
    assert make_plan(need(tokens=512), free).fits and not make_plan(need(tokens=512, drawn=drawn), free).fits


def test_another_program_on_the_device_leaves_less_of_it() -> None:
    beside = Generation(0, 1024, 1024, reserved=0.3)
    free = int(need().estimate(1, recomputed=False).total / 0.8)
    plan = make_plan(need(drawn=beside), free)
    assert make_plan(need(), free).recomputed is False
    assert (plan.recomputed, plan.estimate.generation) == (True, 0)


@pytest.mark.parametrize(
    ("precision", "stage", "ranks", "bytes_each"),
    [("bf16", 1, 1, 14), ("bf16", 1, 2, 8), ("bf16", 3, 2, 7), ("fp32", 0, 2, 12), ("fp32", 1, 1, 16)],
)
def test_a_checkpoint_is_copied_to_host_memory(precision: Any, stage: int, ranks: int, bytes_each: int) -> None:
    copies = host_copies(QWEN, precision, stage, ranks, saved="fp32", checkpoints=True)
    assert copies.checkpoint == QWEN.trained * bytes_each
    assert host_copies(QWEN, precision, stage, ranks, saved="fp32", checkpoints=False).checkpoint == 0


def test_copies_need_the_device_only_where_it_is_the_host() -> None:
    on_gpu, on_cpu = (need(saved="fp32", on_cpu=cpu).estimate(1, recomputed=False) for cpu in (False, True))
    assert on_gpu.copies == on_cpu.copies and on_gpu.copies.saving == QWEN.trained * 8
    assert on_cpu.total - on_gpu.total == on_gpu.copies.total > 0
    free = int(on_gpu.total / 0.8)
    assert make_plan(need(saved="fp32"), free).recomputed is False
    assert make_plan(need(saved="fp32", on_cpu=True), free).recomputed is True


def test_recomputing_keeps_the_inputs_of_layers_alone() -> None:
    kept, recomputed = (activation_bytes(QWEN, "bf16", 1000, way) for way in (False, True))
    assert kept - recomputed == 1000 * 24 * (layer_bytes(QWEN, "bf16") - 896 * 2)


def test_zero_shards_what_its_stages_say() -> None:
    """ZeRO's paper, figure 1: 7.5 billion parameters on 64 devices take 120, 31.4, 16.6 and 1.9 GB."""
    shape = dataclasses.replace(QWEN, parameters=7_500_000_000, trained=7_500_000_000)
    found = [state_bytes(shape, "bf16", stage, 64) / 1e9 for stage in range(4)]
    assert found == pytest.approx([120, 31.4, 16.6, 1.9], abs=0.05)


def test_adapters_need_optimizer_state_for_themselves_alone() -> None:
    shape = dataclasses.replace(QWEN, trained=1_000_000)
    assert state_bytes(shape, "bf16", 1, 1) == QWEN.parameters * 2 + 14_000_000


def test_offloaded_state_is_not_on_the_device() -> None:
    assert state_bytes(QWEN, "bf16", 2, 1, "optimizer") == QWEN.parameters * 4
    assert state_bytes(QWEN, "bf16", 3, 1, "optimizer+parameters") == QWEN.parameters * 2


def test_a_small_model_on_a_large_device_reduces_once_and_recomputes_nothing() -> None:
    plan = make_plan(need(), 80 * GIB)
    assert (plan.stage, plan.recomputed, plan.fits) == (1, False, True)


@pytest.mark.parametrize(
    ("free", "chosen"), [(80, (1, False)), (6, (1, True)), (4, (2, True)), (3, (3, True)), (1, (3, True))]
)
def test_what_does_not_fit_is_recomputed_then_sharded(free: int, chosen: tuple[int, bool]) -> None:
    """On a device that gets smaller, the cheapest choice that fits."""
    plan = make_plan(need(ranks=8), free * GIB)
    assert (plan.stage, plan.recomputed) == chosen
    assert plan.fits == (plan.estimate.total <= 0.85 * free * GIB)


@pytest.mark.parametrize(
    ("free", "chosen"),
    [(80, (1, False, 16_384)), (24, (1, False, 9_216)), (16, (1, True, 16_384)), (10, (1, True, 2_816))],
)
def test_a_budget_is_chosen_that_fits(free: int, chosen: tuple[int, bool, int]) -> None:
    """Of Qwen2-0.5B on one device; activations are recomputed where fewer than 4,096 positions fit otherwise."""
    plan, tokens = fit_tokens(need(ranks=1), PassSize(64, 1024, 1023), free * GIB)
    assert (plan.stage, plan.recomputed, tokens) == chosen
    assert plan.fits and plan.estimate.total <= 0.85 * free * GIB
    more = need(ranks=1, tokens=tokens + 256).estimate(plan.stage, plan.recomputed)
    assert tokens == 16_384 or more.total > 0.85 * free * GIB


def test_a_budget_is_no_less_than_the_longest_row_and_no_more_than_all_rows() -> None:
    plan, tokens = fit_tokens(need(), PassSize(8, 1024, 1023), GIB)
    assert (plan.fits, tokens) == (False, 1023)
    assert fit_tokens(need(), PassSize(4, 512, 511), 80 * GIB)[1] == 4 * 512
    size = PassSize(4, 1000, 1500)
    assert [size.positions(budget) for budget in (None, 100, 2000, 9000)] == [4000, 1500, 2000, 4000]


def test_a_large_model_shards_gradients() -> None:
    large = dataclasses.replace(QWEN, parameters=3_000_000_000, trained=3_000_000_000)
    assert make_plan(need(shape=large), 1000 * GIB).stage == 2


def test_what_is_set_explicitly_stays() -> None:
    plan = make_plan(need(), 1 * GIB, stage=2, recomputed=False)
    assert (plan.stage, plan.recomputed, plan.fits) == (2, False, False)


def test_offloaded_parameters_need_stage_3() -> None:
    assert make_plan(need(offload="optimizer+parameters"), 80 * GIB).stage == 3


def test_a_shape_is_read_from_config_json() -> None:
    config = {
        "hidden_size": 896,
        "num_hidden_layers": 24,
        "num_attention_heads": 14,
        "num_key_value_heads": 2,
        "intermediate_size": 4864,
    }
    assert shape_of(config, QWEN.parameters, QWEN.trained, 151_936) == QWEN
    assert shape_of({"hidden_size": 896}, 1, 1, 1) is None


def test_experts_count_as_one_mlp() -> None:
    config = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
    experts = {"num_experts_per_tok": 4, "moe_intermediate_size": 100, "intermediate_size": 128}
    shape = shape_of(config | experts, 1, 1, 1)
    assert shape is not None and shape.intermediate == 400
