"""Supervised fine-tuning: the mean negative log-likelihood of the labels of a step."""

from collections.abc import Sequence

from components.models.forward.example import Example
from components.models.forward.pack import pack
from components.models.forward.packed_model import PackedModel
from components.models.forward.packed_rows import PackedRows
from components.train.objectives.objective import Graded, Objective, Row, token_ids


class SftObjective(Objective[PackedRows]):
    """Units are labels."""

    uses_dropout = True

    def collate(self, rows: Sequence[Row]) -> PackedRows:
        """Pack column `input_ids`; the labels are the ids after the first `prompt_tokens`."""
        return pack([_example(row) for row in rows])

    def units(self, batch: PackedRows) -> int:
        """Its labels."""
        return len(batch.label_ids)

    def grade(self, model: PackedModel, batch: PackedRows) -> Graded:
        """The summed cross-entropy, and the labels that the model ranks first."""
        loss, first = model.summed_loss_and_hits(batch, model.hidden(batch))
        return Graded(loss, {"mean_token_accuracy": (first, self.units(batch))})


def _example(row: Row) -> Example:
    ids, prompt = token_ids(row["input_ids"]), int(row["prompt_tokens"])
    return Example(ids[:prompt], ids[prompt:])
