"""The losses of DPO and of what followed it; `methods/dpo.py` has their equations and sources."""

# ruff: noqa: TID253 - imported by the job's own program only

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch.nn.functional import logsigmoid

from components.models.forward.packed_model import PackedModel
from components.train.objectives.objective import Graded
from components.train.objectives.pairs import REFERENCE, PairBatch, PairObjective, reward_sums, summed


@dataclass(frozen=True)
class LogRatios:
    """log p / p_ref of a batch's responses, by response and by token, each [pairs]."""

    chosen: torch.Tensor
    rejected: torch.Tensor
    chosen_by_token: torch.Tensor
    rejected_by_token: torch.Tensor

    @property
    def margin(self) -> torch.Tensor:
        """By how much the chosen response's exceeds the rejected one's."""
        return self.chosen - self.rejected

    @property
    def margin_by_token(self) -> torch.Tensor:
        """The same by token."""
        return self.chosen_by_token - self.rejected_by_token


PairLosses = Callable[[LogRatios, float, float], torch.Tensor]
"""The loss of each pair [pairs] from its log-ratios, beta and label smoothing."""


def _sigmoid(of: LogRatios, beta: float, smoothing: float) -> torch.Tensor:
    logits = beta * of.margin
    return -(1 - smoothing) * logsigmoid(logits) - smoothing * logsigmoid(-logits)


def _robust(of: LogRatios, beta: float, smoothing: float) -> torch.Tensor:
    logits = beta * of.margin
    return (smoothing * logsigmoid(-logits) - (1 - smoothing) * logsigmoid(logits)) / (1 - 2 * smoothing)


LOSSES: dict[str, PairLosses] = {
    "sigmoid": _sigmoid,
    "ipo": lambda of, beta, _: (of.margin_by_token - 1 / (2 * beta)) ** 2,
    "hinge": lambda of, beta, _: torch.relu(1 - beta * of.margin),
    "robust": _robust,
    "apo_zero": lambda of, beta, _: 1 - torch.sigmoid(beta * of.chosen) + torch.sigmoid(beta * of.rejected),
    "apo_down": lambda of, beta, _: torch.sigmoid(beta * of.chosen) + 1 - torch.sigmoid(beta * of.margin),
    "sigmoid_norm": lambda of, beta, _: -logsigmoid(beta * of.margin_by_token),
}


class DpoObjective(PairObjective):
    """A loss of DPO's family.

    Args:
        loss: a name of `LOSSES`.
        beta: how strongly the model is held to the reference.
        label_smoothing: share of pairs whose preference is the wrong way round.
        rpo_alpha: weight of the mean negative log-likelihood of the chosen response's tokens.
        reference_batch: pairs of one process in a forward pass of the reference.
    """

    reference_columns = REFERENCE

    def __init__(
        self, loss: str, *, beta: float, label_smoothing: float, rpo_alpha: float, reference_batch: int
    ) -> None:
        self._losses, self._beta, self._smoothing, self._alpha = LOSSES[loss], beta, label_smoothing, rpo_alpha
        self.reference_batch = reference_batch

    def grade(self, model: PackedModel, batch: PairBatch) -> Graded:
        """One forward pass over both responses of each pair."""
        assert batch.ref_chosen is not None and batch.ref_rejected is not None, "the reference is computed before"
        sums = batch.packed.sum_by_row(model.log_probs(batch.packed, model.hidden(batch.packed)))
        chosen, rejected = sums[::2], sums[1::2]
        tokens = batch.packed.label_counts
        ratios = _ratios(chosen - batch.ref_chosen, rejected - batch.ref_rejected, tokens)
        losses = self._losses(ratios, self._beta, self._smoothing)
        rewards = self._beta * ratios.chosen.detach(), self._beta * ratios.rejected.detach()
        metrics = reward_sums(*rewards, (chosen, rejected))
        if self._alpha:
            likelihood = -chosen / tokens[::2]
            losses = losses + self._alpha * likelihood
            metrics |= summed({"nll_loss": likelihood})
        return Graded(losses.sum(), metrics)


def _ratios(chosen: torch.Tensor, rejected: torch.Tensor, tokens: torch.Tensor) -> LogRatios:
    return LogRatios(chosen, rejected, chosen / tokens[::2], rejected / tokens[1::2])
