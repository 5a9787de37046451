"""Losses on pairs that compare no reference, such as ORPO's and SimPO's."""

# ruff: noqa: TID253 - imported by the job's own program only

from dataclasses import replace

import torch

from components.models.forward.packed_model import PackedModel
from components.models.forward.packed_rows import PackedRows
from components.train.objectives.objective import Graded
from components.train.objectives.pair_log_probs import PairLogProbs, PairLoss
from components.train.objectives.pairs import PairBatch, PairObjective, reward_sums, summed


class ReferenceFreeObjective(PairObjective):
    """A loss of mean log-probs.

    Args:
        pair_loss: the loss of each pair.
        beta: rewards are beta times the mean log-prob of a response's tokens.
        scores_prompts: whether the loss reads the log-probs of the chosen rows' prompts too.
    """

    def __init__(self, pair_loss: PairLoss, beta: float, *, scores_prompts: bool) -> None:
        self._pair_loss, self._beta, self._scores_prompts = pair_loss, beta, scores_prompts

    def grade(self, model: PackedModel, batch: PairBatch) -> Graded:
        """One forward pass over both responses of each pair."""
        log_probs = self._log_probs(model, batch.packed)
        losses, metrics = self._pair_loss(log_probs)
        chosen, rejected = self._beta * log_probs.chosen.detach(), self._beta * log_probs.rejected.detach()
        rewards = reward_sums(chosen, rejected, (log_probs.chosen, log_probs.rejected))
        return Graded(losses.sum(), summed(metrics) | rewards)

    def _log_probs(self, model: PackedModel, packed: PackedRows) -> PairLogProbs:
        scored = with_prompt_labels(packed, range(0, len(packed.prompt_spans), 2)) if self._scores_prompts else packed
        sums = scored.sum_by_row(model.log_probs(scored, model.hidden(packed)))
        rows, tokens = len(packed.label_counts), scored.label_counts
        means = sums[:rows] / tokens[:rows]
        if not self._scores_prompts:
            return PairLogProbs(means[::2], means[1::2])
        row = (sums[:rows:2] + sums[rows:]) / (tokens[:rows:2] + tokens[rows:])
        return PairLogProbs(means[::2], means[1::2], row)


def with_prompt_labels(packed: PackedRows, rows: range) -> PackedRows:
    """The batch with further labels after its own: the prompt's tokens after the first, for each of these rows."""
    spans = [packed.prompt_spans[row] for row in rows]
    device = packed.input_ids.device
    positions = torch.cat([torch.arange(start, end - 1, device=device) for start, end in spans])
    counts = torch.tensor([end - 1 - start for start, end in spans], device=device)
    return replace(
        packed,
        label_positions=torch.cat([packed.label_positions, positions]),
        label_ids=torch.cat([packed.label_ids, packed.input_ids[0, positions + 1]]),
        label_counts=torch.cat([packed.label_counts, counts]),
    )
