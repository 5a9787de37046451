"""Checks that a stage changes states by its layers alone, and computes the same on packed rows as on rows alone.

Some decoders scale or add something to the states that they are given (embeddings of positions, a multiplier): each
stage after the first would do so again. With every layer taken out such a decoder shows it.
"""

# ruff: noqa: TID253 - imported by the job's own program only

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from components.models.forward.attention import PACKED
from components.models.forward.check_packed import (
    HALF_TOLERANCE,
    TOLERANCE,
    checked_rows,
    differs,
    evaluating,
    require_keywords,
    require_known_layers,
)
from components.models.forward.example import Example
from components.models.forward.layer_calls import CallRecorder
from components.models.forward.pack import pack
from components.shared.errors import ModelError
from components.train.stages.parts import Parts, PassThrough
from components.train.stages.stage_model import LastStates, StageModel


def check_stage(stage: StageModel, parts: Parts, *, is_last: bool) -> None:
    """Check a stage with a few tokens, and record its `calls`. Raises ModelError where it cannot be a stage."""
    base = stage.base[0]
    require_known_layers(base)
    require_keywords(base)
    device = next(base.parameters()).device
    rows = checked_rows(base.config.get_text_config().vocab_size)
    batch = pack(rows).to(device)
    with evaluating(base):
        read = _Inputs(base, is_first=stage.is_first)
        if not stage.is_first:
            _require_neutral(base, parts, read(batch.input_ids))
        base.set_attn_implementation("eager")
        alone = torch.cat([_alone(base, read, row, device, is_last=is_last) for row in rows])
        base.set_attn_implementation(PACKED)
        stage.kernel = recorder = CallRecorder()
        states = stage.states(next(iter(read(batch.input_ids).values())), batch)
        stage.kernel, stage.calls = None, tuple(recorder.calls)
        if is_last:
            last = LastStates(stage.model)
            last.states = states
            difference = (last.log_probs(batch, states[0]) - alone).abs().mean()
        else:
            together = states[0, batch.label_positions].float()
            difference = (together - alone).abs().mean() / alone.abs().mean()
    if not difference.item() <= TOLERANCE.get(base.dtype, HALF_TOLERANCE):
        raise differs(base, difference.item())


class _Inputs:
    """What a stage reads for token ids: the ids, or made-up states of them, of the size of normalised ones."""

    def __init__(self, base: Any, *, is_first: bool) -> None:
        self._is_first = is_first
        generator = torch.Generator().manual_seed(0)
        width, device = base.config.get_text_config().hidden_size, next(base.parameters()).device
        self._states = torch.randn(32, width, generator=generator).to(device, base.dtype)

    def __call__(self, ids: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"input_ids": ids} if self._is_first else {"inputs_embeds": self._states[ids % len(self._states)]}


def _alone(base: Any, read: _Inputs, row: Example, device: torch.device, *, is_last: bool) -> torch.Tensor:
    """Of the positions that predict a row's labels: the labels' log-probs after the last stage, else the states."""
    ids = torch.tensor([[*row.prompt, *row.completion]], device=device)
    predicting = slice(len(row.prompt) - 1, -1)
    if not is_last:
        states: torch.Tensor = base.get_decoder()(**read(ids), use_cache=False).last_hidden_state
        return states[0, predicting].float()
    logits = base(**read(ids), use_cache=False).logits[0, predicting].float()
    return logits.log_softmax(1).gather(1, ids[0, len(row.prompt) :, None])[:, 0]


def _require_neutral(base: Any, parts: Parts, given: dict[str, torch.Tensor]) -> None:
    with _without_layers(parts):
        found = parts.decoder(**given, use_cache=False).last_hidden_state
    if not torch.equal(found, given["inputs_embeds"]):
        raise ModelError(
            f"{type(parts.decoder).__name__} changes the states that it reads before its first layer",
            rule="a stage after the first gets states, which its decoder must pass to the layers as they are",
            remedy=f"leave stages out: train {type(base).__name__} with data parallelism",
        )


@contextmanager
def _without_layers(parts: Parts) -> Iterator[None]:
    layers = getattr(parts.decoder, parts.layers)
    held, norm = list(layers), getattr(parts.decoder, parts.norm) if parts.norm else None
    for number in range(len(held)):
        layers[number] = PassThrough()
    if parts.norm:
        setattr(parts.decoder, parts.norm, PassThrough())
    try:
        yield
    finally:
        for number, layer in enumerate(held):
            layers[number] = layer
        if parts.norm:
            setattr(parts.decoder, parts.norm, norm)
