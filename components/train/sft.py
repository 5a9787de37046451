"""Supervised fine-tuning on the best responses: the loss is the mean negative log-likelihood of their tokens.

Run as `torchrun … -m components.train.sft --job JOB_URI`.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from components.shared.rows import SftRow
from components.train.build_dataset import Example, columns_with_labels
from components.train.method import Prepared
from components.train.order import dealt, shuffled
from components.train.run_training import preload_libraries, run_program
from components.train.settings import TrainSettings
from components.train.split import Split


class Sft:
    """trl's SFTTrainer on ready-made labels.

    The loss is summed over the response tokens of all ranks and micro-batches of a step and divided by their number,
    so neither the ranks nor the micro-batch change it.
    """

    part = "sft"
    row_type = SftRow

    def prepare(self, examples: Sequence[Example], settings: TrainSettings, split: Split) -> Prepared:
        """Each epoch in an order of its own."""
        lengths = np.array([len(example) for example in examples])
        rows, group = len(examples), split.global_batch
        orders = [shuffled(rows, group, settings.seed, epoch) for epoch in range(settings.epochs)]
        order = np.concatenate([dealt(order, lengths, split, group) for order in orders])
        return Prepared(columns_with_labels(examples), order, lengths)

    def arguments(self, common: dict[str, Any], settings: TrainSettings, prepared: Prepared) -> Any:
        """trl must not touch the rows: they are tokenized, labelled and cut already."""
        from trl import SFTConfig

        return SFTConfig(**common, max_length=None, dataset_kwargs={"skip_prepare_dataset": True})

    def trainer_type(self) -> type[Any]:
        """trl's own."""
        from trl import SFTTrainer

        return SFTTrainer


def preload() -> None:
    """Import what every process needs, so that forked ones share it."""
    preload_libraries(Sft())


def main() -> None:
    """Train as the job file says."""
    run_program(Sft())


if __name__ == "__main__":
    main()
