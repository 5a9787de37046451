"""A stage's model on packed rows: reads token ids or the states of the stage before."""

# ruff: noqa: TID253 - imported by the job's own program only

from contextlib import nullcontext
from typing import Any

import torch

from components.models.forward.attention import PACKED, register_packed_attention
from components.models.forward.attention_kernels import AttentionKernel
from components.models.forward.captured_keys import CapturedKeys
from components.models.forward.layer_calls import LayerCall
from components.models.forward.packed_model import PackedModel
from components.models.forward.packed_rows import PackedRows
from components.train.engine.pass_clock import PassClock


class StageModel(torch.nn.Module):
    """One stage as torch's pipelining calls it: states in, states out, for the micro-batch of a number.

    Args:
        model: a transformers model, with adapters or not, of which `keep_stage` left a stage.
        is_first: whether it reads token ids.

    Attributes:
        batches: packed rows of each micro-batch of the step.
        clock: times forward passes, if it is set.
        kernel: that computes attention; None: by the device and the precision (`unmeasured_kernel`).
        calls: what its layers ask of attention, once `check_stage` has recorded it.
    """

    kernel: AttentionKernel | None = None
    calls: tuple[LayerCall, ...] = ()

    def __init__(self, model: Any, *, is_first: bool) -> None:
        super().__init__()
        register_packed_attention()
        self.model, self.is_first = model, is_first
        self.base = (getattr(model, "get_base_model", lambda: model)(),)  # no submodule a second time
        self.base[0].set_attn_implementation(PACKED)
        self.batches: list[PackedRows] = []
        self.clock: PassClock | None = None

    def forward(self, states: torch.Tensor, number: torch.Tensor) -> torch.Tensor:
        """States after the stage [1, tokens, width], from token ids [1, tokens] or states before it."""
        with self.clock.running() if self.clock else nullcontext():
            return self.states(states, self.batches[int(number)])

    def states(self, states: torch.Tensor, rows: PackedRows) -> torch.Tensor:
        """The same for given rows."""
        given = {"input_ids": states} if self.is_first else {"inputs_embeds": states}
        output = self.base[0].get_decoder()(
            **given,
            position_ids=rows.position_ids,
            use_cache=False,
            segments=rows.segments,
            capture=None,
            kernel=self.kernel,
        )
        found: torch.Tensor = output.last_hidden_state
        return found


class LastStates(PackedModel):
    """The model as an objective reads it, after its last stage: `states` are the hidden states, the head is its own."""

    states: torch.Tensor

    def hidden(self, packed: PackedRows, capture: CapturedKeys | None = None) -> torch.Tensor:
        """Last hidden states [tokens, width] of the micro-batch that `states` holds."""
        if capture is not None:
            raise ValueError("keys and values of a pipeline's layers are on other processes")
        return self.states[0]
