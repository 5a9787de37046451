"""The optimizer of stages changes fp32 weights, and decays what transformers' trainer decays."""

import torch
from transformers import Qwen2Config, Qwen2ForCausalLM

from components.train.methods.registry import parse_train_settings
from components.train.stages.optimizer import Masters, make_optimizer


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
