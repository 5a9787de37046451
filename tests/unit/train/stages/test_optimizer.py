"""The optimizer of stages changes fp32 weights, and decays what transformers' trainer decays."""

import json
import math
import os
from pathlib import Path

import pytest
import torch
import torch.distributed
from torch.multiprocessing.spawn import start_processes
from transformers import Qwen2Config, Qwen2ForCausalLM

from components.train.methods.registry import parse_train_settings
from components.train.stages.optimizer import Gradients, Masters, buckets, make_optimizer
from tests.conftest import free_port


def test_steps_that_bf16_cannot_represent_add_up() -> None:
    weight = torch.nn.Parameter(torch.ones(4, dtype=torch.bfloat16))
    masters = Masters({"w": weight})
    optimizer = torch.optim.AdamW(masters.tensors.values(), lr=1e-3, weight_decay=0.0)
    values: list[float] = []
    for _ in range(3):
        weight.grad = torch.ones_like(weight)
        masters.take_gradients()
        assert weight.grad is None, "the next step's gradients are added to nothing"
        optimizer.step()
        masters.give_back()
        values.append(weight[0].item())
    assert values == [1.0, 0.99609375, 0.99609375]
    assert torch.allclose(masters.tensors["w"], torch.full((4,), 0.997), atol=1e-6)


def test_fp32_weights_are_their_own_masters() -> None:
    weight = torch.nn.Parameter(torch.ones(4))
    masters = Masters({"w": weight})
    assert masters.tensors["w"] is weight
    weight.grad = torch.ones(4)
    masters.take_gradients()
    assert weight.grad is not None


def test_norms_and_biases_do_not_decay() -> None:
    shape = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    model = Qwen2ForCausalLM(Qwen2Config(vocab_size=32, num_key_value_heads=2, **shape))
    weights = dict(model.named_parameters())
    optimizer = make_optimizer(parse_train_settings({"weight_decay": 0.1}), [model], weights)
    names = {id(weight): name for name, weight in weights.items()}
    decays = {names[id(w)]: group["weight_decay"] for group in optimizer.param_groups for w in group["params"]}
    assert decays == {name: 0.0 if "norm" in name or "bias" in name else 0.1 for name in weights}


HELD = (("a", "b"), ("b", "c"), ("a", "c"), ("a", "d"))
"""The tensors of four processes: two pipelines with other layers in their stages, and one tensor in three places."""


def join_gradients(rank: int, folder: Path, port: int) -> None:
    """One of the processes; each writes its gradients and the norm, with a gradient of 1 more in each rank."""
    places = {"RANK": rank, "WORLD_SIZE": len(HELD), "MASTER_PORT": port, "MASTER_ADDR": "127.0.0.1"}
    os.environ |= {name: str(value) for name, value in places.items()}
    torch.distributed.init_process_group("gloo")
    weights = {name: torch.nn.Parameter(torch.zeros(2, 2)) for name in HELD[rank]}
    for weight in weights.values():
        weight.grad = torch.full((2, 2), rank + 1.0)
    gradients = Gradients(weights)
    gradients.reduce()
    summed = {name: weight.grad[0, 0].item() for name, weight in weights.items() if weight.grad is not None}
    norm = gradients.clip(1.0)
    clipped = {name: weight.grad[1, 1].item() for name, weight in weights.items() if weight.grad is not None}
    (folder / f"{rank}.json").write_text(json.dumps((summed, norm, clipped)))
    torch.distributed.destroy_process_group()


def test_gradients_are_summed_over_the_processes_that_hold_them_and_count_once(tmp_path: Path) -> None:
    start_processes(join_gradients, (tmp_path, free_port()), nprocs=len(HELD), start_method="fork")  # type: ignore[no-untyped-call]
    sums = {"a": 1 + 3 + 4, "b": 1 + 2, "c": 2 + 3, "d": 4}
    norm = 2 * math.sqrt(sum(value**2 for value in sums.values()))
    for rank, names in enumerate(HELD):
        summed, found, clipped = json.loads((tmp_path / f"{rank}.json").read_text())
        assert summed == {name: sums[name] for name in names}
        assert found == pytest.approx(norm)
        assert clipped == pytest.approx({name: sums[name] / norm for name in names}, rel=1e-5)


def test_gradients_are_reduced_in_buckets_and_larger_ones_alone() -> None:
    tensors = [torch.zeros(size) for size in (2, 2, 2, 9, 1)]
    assert [[each.numel() for each in bucket] for bucket in buckets(tensors, most=16)] == [[2, 2], [2], [9], [1]]
