"""A small Llama with random weights, and the loop that trains it on the CPU."""

# ruff: noqa: TID253  # a program of its own: nothing imports it to compile a pipeline
import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from demo.draw_examples import Batch
from demo.lessons import LessonPlan
from demo.make_tokenizer import CONTEXT_TOKENS


def new_model(plan: LessonPlan, tokenizer: Any) -> LlamaForCausalLM:
    """A Llama with random weights from the plan's seed, and tied input and output embeddings."""
    torch.manual_seed(plan.seed)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=plan.hidden,
        intermediate_size=plan.feed_forward,
        num_hidden_layers=plan.layers,
        num_attention_heads=plan.heads,
        num_key_value_heads=plan.heads,
        max_position_embeddings=CONTEXT_TOKENS,
        tie_word_embeddings=True,
        attn_implementation=plan.attention,
        initializer_range=plan.initial_spread,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return LlamaForCausalLM(config)


def rate_at(step: int, plan: LessonPlan) -> float:
    """The factor of the learning rate, 0 to 1: linear warm-up, then cosine decay to 2 %."""
    if step < plan.warmup_steps:
        return (step + 1) / plan.warmup_steps
    progress = min(1.0, (step - plan.warmup_steps) / max(1, plan.steps - plan.warmup_steps))
    return 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * progress))


def batch_loss(model: LlamaForCausalLM, batch: Batch) -> torch.Tensor:
    """The summed cross entropy (nats) of the labelled tokens; matrix products in bfloat16, weights in float32."""
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = model(input_ids=batch.ids, use_cache=False).logits[:, :-1]
    return torch.nn.functional.cross_entropy(
        logits.float().flatten(0, 1), batch.labels[:, 1:].flatten(), ignore_index=-100, reduction="sum"
    )


def step_gradients(model: LlamaForCausalLM, batches: list[Batch]) -> float:
    """Accumulate the gradients of the mean loss over all batches. Returns that loss (nats per labelled token)."""
    labelled = sum(int((batch.labels != -100).sum()) for batch in batches)
    total = 0.0
    for batch in batches:
        loss = batch_loss(model, batch) / labelled
        loss.backward()  # type: ignore[no-untyped-call]
        total += loss.item()
    return total


def optimizers(model: LlamaForCausalLM, plan: LessonPlan) -> list[torch.optim.Optimizer]:
    """Muon for the matrices within the layers (about a quarter fewer steps here), and AdamW for the rest."""
    inner = [p for p in model.model.layers.parameters() if p.ndim > 1]
    outer = [p for name, p in model.named_parameters() if p.ndim <= 1 or "embed" in name]
    return [
        torch.optim.Muon(inner, lr=plan.matrix_rate, weight_decay=plan.weight_decay, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(outer, lr=plan.peak_rate, betas=(0.9, 0.98), weight_decay=0.0),
    ]


def trained(
    model: LlamaForCausalLM,
    plan: LessonPlan,
    updates: list[torch.optim.Optimizer],
    steps: Iterable[list[Batch]],
    report: Callable[[int, float, int], None],
) -> int:
    """Train `model` in place for at most `plan.steps` steps. Returns the number of tokens, without padding."""
    schedules = [torch.optim.lr_scheduler.LambdaLR(update, lambda step: rate_at(step, plan)) for update in updates]
    model.train()
    tokens = 0
    for step, batches in zip(range(plan.steps), steps, strict=False):
        loss = step_gradients(model, batches)
        torch.nn.utils.clip_grad_norm_(model.parameters(), plan.clip_norm)
        for update, schedule in zip(updates, schedules, strict=True):
            update.step()
            schedule.step()
        model.zero_grad(set_to_none=True)
        tokens += sum(int((batch.ids != 0).sum()) for batch in batches)
        report(step + 1, loss, tokens)
    return tokens
