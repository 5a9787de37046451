"""One call of a layer's attention: its states, and what makes it differ from plain causal attention."""

# ruff: noqa: TID253 - imported by the job's own program only

from dataclasses import dataclass
from typing import NamedTuple

import torch


class KeysAndValues(NamedTuple):
    """Keys and values of a layer [1, heads, tokens, width]."""

    key: torch.Tensor
    value: torch.Tensor


@dataclass(frozen=True, eq=False)
class AttentionLayer:
    """Features of an attention layer, named as transformers' attention functions name them.

    Attributes:
        scaling: factor of the scores; None: the inverse square root of the width.
        dropout: probability that an attention weight is dropped.
        window: tokens that a token sees, itself included; None: all.
        softcap: bound of the scores, by tanh.
        sinks: a learned score for each head [heads] that takes part in the softmax alone.
    """

    scaling: float | None = None
    dropout: float = 0.0
    window: int | None = None
    softcap: float | None = None
    sinks: torch.Tensor | None = None

    @property
    def has_plain_scores(self) -> bool:
        """Whether fused kernels compute its scores."""
        return self.softcap is None and self.sinks is None

    def sees_all(self, keys: int) -> bool:
        """Whether the window leaves out none of so many keys."""
        return self.window is None or keys <= self.window

    def visible(self, queries: int, keys: int, device: torch.device) -> torch.Tensor:
        """Which of `keys` each of the last `queries` tokens sees: bool [queries, keys]."""
        last = torch.arange(keys - queries, keys, device=device)[:, None]
        place = torch.arange(keys, device=device)[None]
        seen = place <= last
        return seen if self.window is None else seen & (place > last - self.window)
