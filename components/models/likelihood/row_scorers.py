"""What computes the log-probabilities of completions: one forward pass for many rows without padding, or one for each.

Without padding, answers to one prompt share its pass, each with the position ids that it would have alone, and attend
to it and to themselves (as in tree attention, SpecInfer, arXiv 2305.09781).
"""

# ruff: noqa: TID253 - imported where a model is loaded only

import inspect
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch

from components.models.forward.check_packed import packed_model
from components.models.forward.example import Example
from components.models.forward.label_ranks import ranked
from components.models.forward.pack import pack
from components.shared.errors import ModelError
from components.shared.log import say


@dataclass(frozen=True)
class TokenScores:
    """Of each token of a completion: ln p(token | prefix), in nats, and its rank in the vocabulary, from 1."""

    log_probs: tuple[float, ...]
    ranks: tuple[int, ...]


class RowScorer(Protocol):
    """Scores rows with one model."""

    positions: int
    """Positions that the model computed so far."""

    def totals(self, rows: Sequence[Example]) -> list[float]:
        """The sum of the log-probs of each row's completion, in nats. Raises torch.OutOfMemoryError."""
        ...

    def tokens(self, rows: Sequence[Example]) -> list[TokenScores]:
        """The scores of each token of each row's completion. Raises torch.OutOfMemoryError."""
        ...

    def release(self) -> None:
        """Leave the model as it was."""
        ...


class PackedScorer:
    """Scores rows together: real tokens alone, a shared prompt once, the head at label positions.

    Until `release`, the model takes no other batches.

    Raises:
        ModelError: the model cannot run on packed rows; it is left as it was.
    """

    def __init__(self, model: Any) -> None:
        self._model, self._own_attention = model, model.config._attn_implementation
        self.positions = 0
        try:
            self._packed = packed_model(model)
        except ModelError:
            self.release()
            raise

    def release(self) -> None:
        """Give the model its own attention again."""
        if self._own_attention is not None:
            self._model.set_attn_implementation(self._own_attention)

    def totals(self, rows: Sequence[Example]) -> list[float]:
        """The sum of the log-probs of each row's completion, in nats."""
        batch = pack(rows).to(self._model.device)
        self.positions += batch.tokens
        with torch.inference_mode():
            log_probs = self._packed.log_probs(batch, self._packed.hidden(batch))
            found: list[float] = batch.sum_by_row(log_probs.double()).tolist()
        return found

    def tokens(self, rows: Sequence[Example]) -> list[TokenScores]:
        """The scores of each token of each row's completion."""
        batch = pack(rows).to(self._model.device)
        self.positions += batch.tokens
        with torch.inference_mode():
            found = self._packed.ranks(batch, self._packed.hidden(batch))
        log_probs, ranks = (each.tolist() for each in found)
        bounds = itertools.pairwise([0, *itertools.accumulate(batch.label_counts.tolist())])
        return [TokenScores(tuple(log_probs[start:end]), tuple(ranks[start:end])) for start, end in bounds]


class SingleScorer:
    """Scores rows one at a time, by the model's own forward pass."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self._keeps_last = "logits_to_keep" in inspect.signature(model.forward).parameters
        self.positions = 0

    def totals(self, rows: Sequence[Example]) -> list[float]:
        """The sum of the log-probs of each row's completion, in nats."""
        return [float(self._ranked(row)[0].double().sum()) for row in rows]

    def tokens(self, rows: Sequence[Example]) -> list[TokenScores]:
        """The scores of each token of each row's completion."""
        parts = map(self._ranked, rows)
        return [TokenScores(tuple(log_probs.tolist()), tuple(ranks.tolist())) for log_probs, ranks in parts]

    def release(self) -> None:
        """Nothing was changed."""

    def _ranked(self, row: Example) -> tuple[torch.Tensor, torch.Tensor]:
        count = len(row.completion)
        ids = torch.tensor([[*row.prompt, *row.completion[:-1]]], device=self._model.device)
        labels = torch.tensor(row.completion, device=self._model.device, dtype=torch.long)
        self.positions += ids.shape[1]
        extra = {"logits_to_keep": count} if self._keeps_last else {}
        with torch.inference_mode():
            logits = self._model(input_ids=ids, use_cache=False, **extra).logits[0, -count:].float()
            return ranked(logits, labels)


def open_scorer(model: Any, reference: str) -> RowScorer:
    """What scores with a model: rows together, or one at a time where the model cannot run on packed rows.

    Args:
        model: a causal language model of transformers.
        reference: its name, for the log.
    """
    try:
        return PackedScorer(model)
    except ModelError as error:
        say("likelihood", f"{reference}: answers are scored one at a time, which is slower: {error.problem}")
        return SingleScorer(model)
