"""How long a model's layers take on this process, on a micro-batch of the run and without a trace."""

# ruff: noqa: TID253 - imported by the job's own program only

import time
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed

from components.train.balance.measured_costs import LayerSeconds, PassSeconds
from components.train.engine.pass_clock import PassClock
from components.train.objectives.objective import Objective
from components.train.stages.load_stage import load_stages
from components.train.stages.pack_steps import PackedSteps, packed_rows, padded
from components.train.stages.stage_model import LastStates, StageModel
from components.train.stages.staged_model import StagedModel

SECONDS, PASSES = 1.0, 3
"""A measurement ends after both. A quota of CPU time does not slow what is shorter than its period, 0.1 s."""
INNER = 4
"""Most layers that are measured together."""


@dataclass(frozen=True)
class SampledRun:
    """What a micro-batch of the run is computed from.

    Attributes:
        objective: the loss.
        rows: the data set.
        steps: its rows, dealt to micro-batches.
        device: of this process.
    """

    objective: Objective[Any]
    rows: Any
    steps: PackedSteps
    device: torch.device

    def micro_batch(self) -> Any:
        """The first of the first step, of the length of all."""
        numbers = self.steps.micro_batches_of(0)[0]
        own, _ = self.objective.apart(self.objective.collate(self.rows.__getitems__(numbers)))
        return padded(own, self.steps.length).to(self.device)

    def loss(self, last: LastStates, batch: Any) -> torch.Tensor:
        """The loss; of a method whose reference is scored later, the log-probs that it is a function of."""
        if self.objective.reference_columns:
            packed = packed_rows(batch)
            return last.log_probs(packed, last.hidden(packed)).sum()
        return self.objective.grade(last, batch).loss


def measure_layers(model: StagedModel, sample: SampledRun) -> LayerSeconds:
    """Time both passes of the first layer, some between, and the last, while all other processes do the same.

    Layers have the weights of the start; gradients are computed and not kept. Activations are kept: where they are
    recomputed, that is another forward pass. Every process calls this.

    Args:
        model: with at least two layers.
        sample: of the run.
    """
    count = model.count
    between = min(INNER, count - 2, max(1, count // torch.distributed.get_world_size()))
    batch = sample.micro_batch()
    with torch.random.fork_rng():
        first, last = (_measure(model, (at, at + 1), sample, batch) for at in (0, count - 1))
        if not between:
            return LayerSeconds(first=first, inner=first, last=last)
        inner = _measure(model, (1, 1 + between), sample, batch)
    each = PassSeconds(forward=inner.forward / between, backward=inner.backward / between)
    return LayerSeconds(first=first, inner=each, last=last)


def _measure(model: StagedModel, span: tuple[int, int], sample: SampledRun, batch: Any) -> PassSeconds:
    """Mean seconds of a stage with these layers."""
    ((part, _),) = load_stages(model.start, model.name, model.settings, [span])
    stage = StageModel(part.eval().to(sample.device), is_first=span[0] == 0)
    last = LastStates(stage.model) if span[1] == model.count else None
    given = _input(stage, batch, sample.device)
    forward, backward = PassClock(), PassClock()
    # The first pass compiles and allocates.
    _time_pass(stage, last, given, batch, sample, forward, backward)
    forward.take(), backward.take()
    torch.distributed.barrier()
    began, passes = time.monotonic(), 0
    while passes < PASSES or time.monotonic() - began < SECONDS:
        _time_pass(stage, last, given, batch, sample, forward, backward)
        passes += 1
    return PassSeconds(forward=forward.take() / passes, backward=backward.take() / passes)


def _input(stage: StageModel, batch: Any, device: torch.device) -> torch.Tensor:
    """Token ids, or made-up states that gradients are computed for."""
    rows = packed_rows(batch)
    if stage.is_first:
        return rows.input_ids
    base = stage.base[0]
    shape = (*rows.input_ids.shape, base.config.get_text_config().hidden_size)
    return torch.randn(shape, device=device).to(base.dtype).requires_grad_()


def _time_pass(  # noqa: PLR0917 - what `_measure` has
    stage: StageModel,
    last: LastStates | None,
    given: torch.Tensor,
    batch: Any,
    sample: SampledRun,
    forward: PassClock,
    backward: PassClock,
) -> None:
    leaves: list[torch.Tensor] = [weight for weight in stage.parameters() if weight.requires_grad]
    leaves += [given] if given.requires_grad else []
    with forward.running():
        made = stage.states(given, packed_rows(batch))
        if last is not None:
            last.states = made
            made = sample.loss(last, batch)
    with backward.running():
        torch.autograd.grad(made, leaves, torch.ones_like(made), allow_unused=True)
    if made.is_cuda:
        torch.cuda.synchronize()
