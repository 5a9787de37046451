"""The parts of a causal language model of transformers by their place in a pipeline, and stages made of them."""

# ruff: noqa: TID253 - imported by the job's own program only

from dataclasses import dataclass
from typing import Any

import torch

from components.shared.errors import ModelError

RULE = "a model is split at its decoder's layers: one ModuleList of config.num_hidden_layers, then one norm"


class PassThrough(torch.nn.Module):
    """In the place of a layer or a norm that another stage has. It returns what it reads."""

    def forward(self, states: torch.Tensor, *_: Any, **__: Any) -> torch.Tensor:
        """The states themselves."""
        return states


@dataclass(frozen=True)
class Parts:
    """Where a model's parts are.

    Attributes:
        decoder: the model without its head.
        layers: the name, in the decoder, of the list of layers.
        count: how many layers there are.
        norm: the name, in the decoder, of what follows the layers; None: nothing does.
        tied: whether head and embeddings are one tensor.
    """

    decoder: Any
    layers: str
    count: int
    norm: str | None
    tied: bool


def find_parts(model: Any) -> Parts:
    """Find a model's parts. Raises ModelError where the model has others, which no stage would compute."""
    decoder, embeddings, head = model.get_decoder(), model.get_input_embeddings(), model.get_output_embeddings()
    count = model.config.get_text_config().num_hidden_layers
    children = dict(decoder.named_children())
    lists = [n for n, c in children.items() if isinstance(c, torch.nn.ModuleList) and len(c) == count]
    if len(lists) != 1:
        found = ", ".join(f"{n} ({len(c)})" for n, c in children.items() if isinstance(c, torch.nn.ModuleList))
        raise ModelError(
            f"the layers of {type(model).__name__} cannot be found: {type(decoder).__name__} has the lists "
            f"{found or 'none'}, and num_hidden_layers is {count}",
            rule=RULE,
            remedy="leave stages out: train this model with data parallelism",
        )
    others = [
        name
        for name, child in children.items()
        if name != lists[0] and child is not embeddings and any(True for _ in child.parameters())
    ]
    norms = [name for name in others if "norm" in type(children[name]).__name__.lower()]
    if others != norms or len(norms) > 1:
        raise ModelError(
            f"{type(decoder).__name__} has parts that belong to no stage: {', '.join(others)}",
            rule=RULE,
            remedy="leave stages out: train this model with data parallelism",
        )
    tied = head is not None and head.weight is embeddings.weight
    return Parts(decoder, lists[0], count, norms[0] if norms else None, tied)


def keep_stage(model: Any, parts: Parts, span: tuple[int, int]) -> None:
    """Leave a model only what the stage with the layers [first, end) computes; tensors keep their names.

    The first stage has the embeddings, the last one norm and head. Where these share a tensor, both stages have it.
    """
    first, end = span
    layers = getattr(parts.decoder, parts.layers)
    for number in range(parts.count):
        if not first <= number < end:
            layers[number] = PassThrough()
    is_first, is_last = first == 0, end == parts.count
    if not is_last and parts.norm is not None:
        setattr(parts.decoder, parts.norm, PassThrough())
    if not is_first and not (is_last and parts.tied):
        model.set_input_embeddings(PassThrough())
    if not is_last and not (is_first and parts.tied):
        model.set_output_embeddings(PassThrough())
