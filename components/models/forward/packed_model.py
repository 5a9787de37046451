"""A causal language model that reads packed batches: hidden states of real tokens, log-probs of labels alone."""

# ruff: noqa: TID253 - imported by the job's own program only

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import torch

from components.models.forward.attention import PACKED, register_packed_attention
from components.models.forward.attention_kernels import AttentionKernel
from components.models.forward.captured_keys import CapturedKeys
from components.models.forward.chunks import HeadMemory
from components.models.forward.cross_entropy import cross_entropy_and_hits, summed_cross_entropy
from components.models.forward.head import LogitTransform, output_head, read_transform
from components.models.forward.label_log_probs import label_log_probs
from components.models.forward.label_ranks import label_ranks
from components.models.forward.layer_calls import LayerCall
from components.models.forward.packed_rows import PackedRows

Found = TypeVar("Found")
HeadFunction = Callable[[torch.Tensor, torch.nn.Linear, torch.Tensor, LogitTransform, HeadMemory], Found]


class PackedModel:
    """Runs a causal language model of transformers, or one with adapters of peft, on packed batches.

    It sets the model's attention implementation: from then on the model refuses batches without segments, since
    gradient checkpointing runs its layers again during the backward pass.

    Attributes:
        kernel: that computes attention; None: by the device and the precision (`unmeasured_kernel`).
        calls: what its layers ask of attention, as far as a pass has recorded it.

    Raises:
        ModelError: its head is not a linear layer.
    """

    kernel: AttentionKernel | None = None
    calls: tuple[LayerCall, ...] = ()

    def __init__(self, model: Any, memory: HeadMemory | None = None) -> None:
        register_packed_attention()
        self._model = getattr(model, "get_base_model", lambda: model)()
        self._head = output_head(self._model)
        self._transform = read_transform(self._model.config)
        self._memory = memory or HeadMemory()
        self._model.set_attn_implementation(PACKED)

    def hidden(self, packed: PackedRows, capture: CapturedKeys | None = None) -> torch.Tensor:
        """Last hidden states [tokens, width]; `capture` keeps every layer's keys and values."""
        output = self._model.get_decoder()(
            input_ids=packed.input_ids,
            position_ids=packed.position_ids,
            use_cache=False,
            segments=packed.segments,
            capture=capture,
            kernel=self.kernel,
        )
        if capture is not None:
            capture.close()
        states: torch.Tensor = output.last_hidden_state[0]
        return states

    def log_probs(self, packed: PackedRows, hidden: torch.Tensor) -> torch.Tensor:
        """Log-probs of the batch's labels in fp32 [labels], from its hidden states."""
        return self._through_head(label_log_probs, hidden, packed)

    def ranks(self, packed: PackedRows, hidden: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Log-probs of the batch's labels, without gradients, and their ranks in the vocabulary, from 1 [labels]."""
        return self._through_head(label_ranks, hidden, packed)

    def summed_loss(self, packed: PackedRows, hidden: torch.Tensor) -> torch.Tensor:
        """Minus the sum of the labels' log-probs, with the gradient computed at once."""
        return self._through_head(summed_cross_entropy, hidden, packed)

    def summed_loss_and_hits(self, packed: PackedRows, hidden: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """`summed_loss`, and the number of labels that the model ranks first."""
        return self._through_head(cross_entropy_and_hits, hidden, packed)

    def run(self, outer: Callable[[], Any], compute: Callable[[], Any]) -> Any:
        """Call `outer`, a wrapper of the model such as DeepSpeed's engine, with `compute` as the model's forward.

        What the wrapper and the model's hooks do around a forward pass is done around all passes of `compute`, which
        returns tensors.
        """
        with _forward_replaced(self._model, lambda *_, **__: compute()):
            return outer()

    @torch.no_grad()
    def continuation_log_probs(self, continued: PackedRows, prompt_hidden: torch.Tensor) -> torch.Tensor:
        """Log-probs, without gradients, of completions that continue prompts of an earlier pass [labels].

        Args:
            continued: completions, by `pack_continuations`.
            prompt_hidden: that pass's hidden states at its `prompt_ends` [rows, width].
        """
        hidden = self.hidden(continued)
        return self.log_probs(continued, torch.cat([prompt_hidden.detach(), hidden]))

    def _through_head(self, function: HeadFunction[Found], hidden: torch.Tensor, packed: PackedRows) -> Found:
        """Call a function in the place of the head's forward, so that hooks of the head (ZeRO-3's) run around it."""
        head, transform, memory = self._head, self._transform, self._memory
        # Indexing has a deterministic backward pass on GPUs, index_select has not.
        states = hidden[packed.label_positions]
        with _forward_replaced(head, lambda given: function(given, head, packed.label_ids, transform, memory)):
            found: Found = head(states)
        return found


@contextmanager
def _forward_replaced(module: torch.nn.Module, forward: Callable[..., Any]) -> Iterator[None]:
    own = module.__dict__.get("forward")
    module.__dict__["forward"] = forward
    try:
        yield
    finally:
        del module.__dict__["forward"]
        module.__dict__ |= {} if own is None else {"forward": own}
