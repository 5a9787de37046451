"""A model's output head: the weights that turn hidden states into logits, and what the model does to these."""

# ruff: noqa: TID253 - imported by the job's own program only

from dataclasses import dataclass
from typing import Any

import torch

from components.shared.errors import ModelError


@dataclass(frozen=True)
class LogitTransform:
    """What a model does to its head's output: a factor, then a bound by tanh.

    Attributes:
        scale: factor (Cohere's `logit_scale`; one over Granite's `logits_scaling`).
        softcap: bound (`final_logit_softcapping` of the Gemma family); None: none.
    """

    scale: float = 1.0
    softcap: float | None = None

    def apply(self, raw: torch.Tensor) -> torch.Tensor:
        """Logits in fp32 of the head's output; `raw` itself where nothing is to be done."""
        logits = raw.float()
        if self.scale != 1.0:
            logits = logits * self.scale
        return logits if self.softcap is None else torch.tanh(logits / self.softcap) * self.softcap

    def backward_(self, gradient: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
        """The gradient of the head's output from that of the logits, in place."""
        if self.softcap is not None:
            gradient.mul_(1 - (logits / self.softcap).square_())
        return gradient.mul_(self.scale) if self.scale != 1.0 else gradient


FACTORS = ("logit_scale", "output_multiplier", "lm_head_multiplier")
"""Names of a factor of the logits in configurations: Cohere's, Muse Glimmer's, Falcon-H1's."""


def read_transform(config: Any) -> LogitTransform:
    """The transform that a model's configuration states; `check_packed` compares it with the model's own logits."""
    text = config.get_text_config()
    factors = [factor for name in FACTORS if (factor := getattr(text, name, None)) is not None]
    scale = float(factors[0]) if factors else 1.0
    if (divisor := getattr(text, "logits_scaling", None)) is not None:
        # Granite and MiniCPM3 divide by it, HyperCLOVA X multiplies.
        scale = scale * divisor if text.model_type == "hyperclovax" else scale / divisor
    return LogitTransform(scale, getattr(text, "final_logit_softcapping", None))


def output_head(model: Any) -> torch.nn.Linear:
    """A model's head. Raises ModelError unless it is a plain linear layer."""
    head = model.get_output_embeddings()
    if isinstance(head, torch.nn.Linear):
        return head
    raise ModelError(
        f"the output head of {type(model).__name__} is {type(head).__name__}, not a linear layer",
        rule="log-probs are computed from the head's weights, without a table of positions by vocabulary",
        remedy="leave the head out of lora.target_modules, or train this model with padded batches",
    )
