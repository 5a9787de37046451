"""Checks that a model computes the same on a packed batch as on rows alone, before anything expensive starts.

Configurations and code say little reliably about recurrent layers, masks of a model's own or factors around its head. A
few tokens through the model do: three short rows, two of which share a prompt.
"""

# ruff: noqa: TID253 - imported by the job's own program only

import inspect
from array import array
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from components.models.forward.example import Example
from components.models.forward.head import FACTORS
from components.models.forward.layer_calls import CallRecorder
from components.models.forward.pack import pack
from components.models.forward.packed_model import PackedModel
from components.shared.errors import ModelError

TOLERANCE = {torch.float32: 3e-4, torch.float64: 3e-4}
HALF_TOLERANCE = 0.1
"""Largest mean difference of log-probs, in nats: rounding stays below it, a token that sees another row does not."""

KNOWN_LAYERS = frozenset({"full_attention", "sliding_attention"})
"""The `layer_types` of transformers' configurations that packed attention computes."""


def packed_model(model: Any, **options: Any) -> PackedModel:
    """A model that reads packed batches, checked against itself on rows alone.

    Args:
        model: a causal language model of transformers, or one with adapters of peft.
        options: of `PackedModel`.

    Raises:
        ModelError: the model cannot run on packed batches.
    """
    base = getattr(model, "get_base_model", lambda: model)()
    require_known_layers(base)
    require_keywords(base)
    rows = checked_rows(base.config.get_text_config().vocab_size)
    device = next(base.parameters()).device
    with evaluating(base):
        base.set_attn_implementation("eager")
        alone = torch.cat([_log_probs_alone(base, row, device) for row in rows])
        packed = PackedModel(model, **options)
        batch = pack(rows).to(device)
        packed.kernel = recorder = CallRecorder()
        together = packed.log_probs(batch, packed.hidden(batch))
        packed.kernel, packed.calls = None, tuple(recorder.calls)
    # Where the model itself computes inf or NaN there is nothing to compare: whoever uses the values refuses them.
    finite = alone.isfinite()
    difference = (together - alone)[finite].abs().mean().item() if finite.any() else 0.0
    if not difference <= TOLERANCE.get(base.dtype, HALF_TOLERANCE):
        raise differs(base, difference)
    return packed


def require_known_layers(model: Any) -> None:
    """Raises ModelError for layers that packed attention does not compute."""
    kinds = set(getattr(model.config.get_text_config(), "layer_types", None) or ())
    if unknown := sorted(kinds - KNOWN_LAYERS):
        raise ModelError(
            f"{type(model).__name__} cannot run on packed rows: it has layers of type {', '.join(unknown)}",
            rule="rows are packed for models whose layers attend to all earlier tokens or to a window of them",
            allowed=sorted(KNOWN_LAYERS),
            remedy="train this model with padded batches",
        )


def require_keywords(model: Any) -> None:
    """Raises ModelError where segments would not reach the attention layers."""
    decoder = model.get_decoder()
    kinds = {parameter.kind for parameter in inspect.signature(decoder.forward).parameters.values()}
    if inspect.Parameter.VAR_KEYWORD not in kinds:
        raise ModelError(
            f"{type(model).__name__} cannot run on packed rows: {type(decoder).__name__}.forward takes no further "
            "keyword arguments",
            rule="segments of a packed batch reach attention layers as a keyword argument",
            remedy="train this model with padded batches",
        )


def checked_rows(vocabulary: int) -> Sequence[Example]:
    """Three short rows, the first two of one prompt."""
    ids = [(11 + 7 * number) % vocabulary for number in range(20)]
    first, second = array("i", ids[:5]), array("i", ids[5:8])
    completions = (array("i", ids[8:13]), array("i", ids[13:17]), array("i", ids[17:]))
    return [Example(prompt, each) for prompt, each in zip((first, first, second), completions, strict=True)]


def _log_probs_alone(model: Any, row: Example, device: torch.device) -> torch.Tensor:
    ids = torch.tensor([[*row.prompt, *row.completion]], device=device)
    logits = model(input_ids=ids, use_cache=False).logits[0, len(row.prompt) - 1 : -1].float()
    return logits.log_softmax(1).gather(1, ids[0, len(row.prompt) :, None])[:, 0]


@contextmanager
def evaluating(model: Any) -> Iterator[None]:
    """Without dropout and gradients."""
    training = model.training
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        model.train(training)


def differs(model: Any, difference: float) -> ModelError:
    """The refusal of a model whose results on packed rows are others."""
    return ModelError(
        f"log-probs of {type(model).__name__} on packed rows differ by {difference:.2g} nats from those on rows alone",
        rule="a token depends on its own row alone, and logits are the head's output, scaled and soft-capped as "
        f"{', '.join(FACTORS)}, logits_scaling and final_logit_softcapping in config.json state",
        remedy="train this model with padded batches",
    )
