"""Supervised fine-tuning: the mean negative log-likelihood of the labels of a step."""

from collections.abc import Sequence

import numpy as np

from components.models.forward.example import Example
from components.models.forward.pack import pack
from components.models.forward.packed_model import PackedModel
from components.models.forward.packed_rows import PackedRows
from components.train.objectives.objective import Graded, Objective, Row, token_ids


class SftObjective(Objective[PackedRows]):
    """Units are labels.

    Args:
        ignored: the label of tokens without a loss, such as a prompt's.
    """

    uses_dropout = True

    def __init__(self, ignored: int) -> None:
        self._ignored = ignored

    def collate(self, rows: Sequence[Row]) -> PackedRows:
        """Pack columns `input_ids` and `labels`; labels begin after the prompt and reach to the row's end."""
        return pack([self._example(row) for row in rows])

    def units(self, batch: PackedRows) -> int:
        """Its labels."""
        return len(batch.label_ids)

    def grade(self, model: PackedModel, batch: PackedRows) -> Graded:
        """The summed cross-entropy, and the labels that the model ranks first."""
        loss, first = model.summed_loss_and_hits(batch, model.hidden(batch))
        return Graded(loss, {"mean_token_accuracy": (first, self.units(batch))})

    def _example(self, row: Row) -> Example:
        ids = token_ids(row["input_ids"])
        prompt = int(np.count_nonzero(np.asarray(row["labels"]) == self._ignored))
        return Example(ids[:prompt], ids[prompt:])
