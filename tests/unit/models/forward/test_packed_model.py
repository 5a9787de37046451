"""A packed batch gives the log-probs and the gradients of its rows alone, for every kind of attention and head."""

import copy
from typing import Any

import pytest
import torch
import transformers

from components.models.forward.attention import PACKED
from components.models.forward.captured_keys import CapturedKeys
from components.models.forward.check_packed import packed_model
from components.models.forward.pack import pack, pack_continuations
from components.models.forward.packed_model import PackedModel
from components.shared.errors import ModelError
from tests.packed_models import CONFIGS, ROWS, log_probs_alone, make_packed_model, make_recurrent_model, make_rows
from tests.tiny_architectures import ARCHITECTURES


def gradients(model: Any, loss: torch.Tensor) -> dict[str, torch.Tensor]:
    model.zero_grad()
    loss.backward()
    return {name: weight.grad.clone() for name, weight in model.named_parameters() if weight.grad is not None}


def weighted(log_probs: torch.Tensor) -> torch.Tensor:
    """A loss in which every label counts differently."""
    return (log_probs * torch.linspace(-1, 2, len(log_probs))).sum()


def assert_same(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor], tolerance: float = 1e-5) -> None:
    assert found.keys() == expected.keys()
    for name, gradient in expected.items():
        scale = max(1.0, gradient.abs().max().item())
        torch.testing.assert_close(found[name] / scale, gradient / scale, rtol=0, atol=tolerance, msg=name)


@pytest.mark.parametrize("name", CONFIGS)
def test_log_probs_and_gradients_are_those_of_rows_alone(name: str) -> None:
    model, rows = make_packed_model(name), make_rows(*ROWS)
    alone = torch.cat([log_probs_alone(model, row) for row in rows])
    expected = gradients(model, weighted(alone))
    packed, batch = packed_model(model), pack(rows)
    log_probs = packed.log_probs(batch, packed.hidden(batch))
    torch.testing.assert_close(log_probs, alone, rtol=0, atol=1e-5)
    assert_same(gradients(model, weighted(log_probs)), expected)


@pytest.mark.parametrize("name", ["grouped_heads", "query_and_key_norms", "soft_capped"])
@pytest.mark.parametrize("reentrant", [False, True])
def test_gradient_checkpointing_changes_nothing(name: str, reentrant: bool) -> None:
    model, batch = make_packed_model(name), pack(make_rows(*ROWS))
    packed = PackedModel(model)
    expected = gradients(model, weighted(packed.log_probs(batch, packed.hidden(batch))))
    model.train()
    model.gradient_checkpointing_enable({"use_reentrant": reentrant})
    model.enable_input_require_grads()
    captured = CapturedKeys()
    found = weighted(packed.log_probs(batch, packed.hidden(batch, captured)))
    captured.release()
    assert_same(gradients(model, found), expected)
    with pytest.raises(KeyError):
        captured.of_layer(0)


def test_a_shared_prompt_is_computed_once() -> None:
    rows = make_rows(*ROWS)
    # 5 + 3 + 1 + 9 tokens of prompts, and all tokens of completions but the last of each.
    assert pack(rows).tokens == 18 + 3 + 6 + 5 + 0 + 0 + 1
    assert pack(rows, share_prompts=False).tokens == sum(len(row) - 1 for row in rows)


def test_half_precision_is_as_close_as_rows_alone() -> None:
    model, rows = make_packed_model("query_and_key_norms"), make_rows(*ROWS)
    exact = torch.cat([log_probs_alone(model, row) for row in rows])
    model = model.to(torch.bfloat16)
    alone = torch.cat([log_probs_alone(model, row) for row in rows])
    packed, batch = packed_model(model), pack(rows)
    together = packed.log_probs(batch, packed.hidden(batch))
    assert together.dtype == torch.float32
    assert (together - exact).abs().mean() < 1.5 * (alone - exact).abs().mean()


def padded_log_probs(model: Any, prompts: list[list[int]], completions: list[list[int]]) -> torch.Tensor:
    """Log-probs of completions after prompts by one padded forward pass of the model's own."""
    width = max(len(prompt) + len(completion) for prompt, completion in zip(prompts, completions, strict=True))
    ids = torch.zeros(len(prompts), width, dtype=torch.long)
    mask = torch.zeros_like(ids)
    for number, (prompt, completion) in enumerate(zip(prompts, completions, strict=True)):
        ids[number, : len(prompt) + len(completion)] = torch.tensor(prompt + completion)
        mask[number, : len(prompt) + len(completion)] = 1
    logits = model(input_ids=ids, attention_mask=mask, use_cache=False).logits.float().log_softmax(2)
    parts = [
        logits[number, len(prompt) - 1 : len(prompt) + len(completion) - 1].gather(1, torch.tensor(completion)[:, None])
        for number, (prompt, completion) in enumerate(zip(prompts, completions, strict=True))
    ]
    return torch.cat(parts)[:, 0]


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("share_prompts", [True, False])
def test_continuations_of_captured_prompts_equal_the_padded_forward(name: str, share_prompts: bool) -> None:
    model, rows = make_packed_model(name), make_rows(*ROWS)
    others = [list(row.completion) for row in (*rows[1:], rows[0])]
    with torch.no_grad():
        expected = padded_log_probs(copy.deepcopy(model), [list(row.prompt) for row in rows], others)
    packed, batch, captured = PackedModel(model), pack(rows, share_prompts=share_prompts), CapturedKeys()
    hidden = packed.hidden(batch, captured)
    continued = pack_continuations(batch, others, captured)
    assert continued.tokens == sum(len(other) - 1 for other in others)
    log_probs = packed.continuation_log_probs(continued, hidden[batch.prompt_ends])
    torch.testing.assert_close(log_probs, expected, rtol=0, atol=1e-5)
    assert not log_probs.requires_grad


def test_continuations_of_single_tokens_still_make_a_forward_pass() -> None:
    model, rows = make_packed_model("grouped_heads"), make_rows(*ROWS)
    others = [[7 + number] for number in range(len(rows))]
    with torch.no_grad():
        expected = padded_log_probs(copy.deepcopy(model), [list(row.prompt) for row in rows], others)
    packed, batch, captured = PackedModel(model), pack(rows), CapturedKeys()
    hidden = packed.hidden(batch, captured)
    continued = pack_continuations(batch, others, captured)
    assert continued.tokens == 1
    log_probs = packed.continuation_log_probs(continued, hidden[batch.prompt_ends])
    torch.testing.assert_close(log_probs, expected, rtol=0, atol=1e-5)


def test_adapters_are_trained_through_packed_rows() -> None:
    from peft import LoraConfig, get_peft_model

    rows, config = make_rows(*ROWS), LoraConfig(r=2, target_modules="all-linear", init_lora_weights=False)
    torch.manual_seed(1)
    model = get_peft_model(make_packed_model("grouped_heads"), config)
    expected = gradients(model, weighted(torch.cat([log_probs_alone(model, row) for row in rows])))
    packed, batch = packed_model(model), pack(rows)
    assert_same(gradients(model, weighted(packed.log_probs(batch, packed.hidden(batch)))), expected)
    assert expected and all("lora" in name for name in expected)


@pytest.mark.parametrize("name", ["gemma4", "glm4_moe", "mixtral", "gemma3_vision", "gpt2", "opt"])
def test_other_architectures_pass_the_check(name: str) -> None:
    torch.manual_seed(0)
    packed_model(ARCHITECTURES[name]().eval())


def test_recurrent_layers_are_refused_by_their_type() -> None:
    with pytest.raises(ModelError, match="it has layers of type linear_attention"):
        packed_model(ARCHITECTURES["qwen3_5_vision"]().eval())
    with pytest.raises(ModelError, match="it has layers of type hybrid"):
        packed_model(make_recurrent_model())


def test_a_model_that_mixes_rows_is_refused_by_its_log_probs() -> None:
    torch.manual_seed(0)
    config = transformers.BloomConfig(vocab_size=97, hidden_size=32, n_layer=2, n_head=4, initializer_range=0.2)
    with pytest.raises(ModelError, match=r"BloomForCausalLM on packed rows differ by 0\.\d+ nats"):
        packed_model(transformers.BloomForCausalLM(config).eval())


def test_an_adapter_on_the_head_is_refused() -> None:
    from peft import LoraConfig, get_peft_model

    model = get_peft_model(make_packed_model("grouped_heads"), LoraConfig(r=2, target_modules=["lm_head"]))
    with pytest.raises(ModelError, match="not a linear layer") as caught:
        packed_model(model)
    assert "lora.target_modules" in caught.value.remedy


def test_a_batch_without_segments_is_refused() -> None:
    model = make_packed_model("grouped_heads")
    PackedModel(model)
    # The implementation belongs to the training, not to the model that is saved.
    assert PACKED not in model.config.to_json_string()
    with pytest.raises(ModelError, match="does not pass the segments"):
        model(input_ids=torch.tensor([[5, 6, 7]]))
