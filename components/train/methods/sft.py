"""Supervised fine-tuning on the best responses: the loss is the mean negative log-likelihood of their tokens."""

from array import array
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from components.models.forward.example import Example
from components.shared.rows import SftRow
from components.train.batches.split import Split
from components.train.methods.method import TrainingData, TrainingMethod
from components.train.settings import TrainSettings

if TYPE_CHECKING:
    from components.train.batches.build_dataset import Template
    from components.train.batches.examples import Examples, Kept
    from components.train.batches.token_files import TokenFiles
    from components.train.objectives.objective import Objective

IGNORED = -100
"""torch's `ignore_index` of cross-entropy: tokens without a loss."""


class SftSettings(TrainSettings):
    """Settings of supervised fine-tuning."""

    runs_in_stages: ClassVar[bool] = True

    method: Literal["sft"] = Field("sft", description="supervised fine-tuning on the best responses")


class SftMethod(TrainingMethod[SftSettings]):
    """Cross-entropy on labels that are made here; on padded rows by trl's SFTTrainer.

    The loss is summed over the response tokens of all ranks and micro-batches of a step and divided by their number,
    so neither the ranks nor the micro-batch change it.
    """

    name = "sft"
    does = "maximises the likelihood of the best responses"
    source = "Zhai, arXiv 2411.02939"
    part = "sft"
    row_type = SftRow
    settings = SftSettings
    metrics: ClassVar[Mapping[str, str]] = {"mean_token_accuracy": "token_accuracy"}

    def prepare(
        self,
        rows: Iterable[SftRow],
        template: "Template",
        settings: SftSettings,
        split: Split,
        files: "TokenFiles | None" = None,
    ) -> TrainingData:
        """Each epoch is shuffled by itself."""
        from components.train.batches.build_dataset import build_examples
        from components.train.batches.labelled_rows import stored_columns
        from components.train.batches.order import shuffled_epochs
        from components.train.batches.token_files import InMemory

        def build(kept: "Kept[Example]") -> "Examples[Example]":
            return build_examples(template, rows, settings, lambda _, *tokens: Example(*tokens), kept)

        made = (files or InMemory()).tokens(stored_columns, build)
        lengths = made.columns["input_ids"].lengths
        order = shuffled_epochs(lengths, settings.epochs, settings.seed, split)
        # A row's last token predicts nothing.
        positions = lengths - 1
        return TrainingData(made.columns, order, lengths, made.counts, notes=made.notes, positions=positions)

    def decides_tokens(self, settings: SftSettings) -> Mapping[str, Any]:
        """What becomes of long rows."""
        return settings.truncation

    def objective(self, settings: SftSettings, data: TrainingData) -> "Objective[Any]":
        """The summed cross-entropy of labels."""
        from components.train.objectives.sft import SftObjective

        return SftObjective()

    def padded_rows(self, dataset: Any) -> Any:
        """The rows with labels, which trl's collator reads."""
        from components.train.batches.labelled_rows import with_labels

        return with_labels(dataset, IGNORED)

    def arguments(self, common: dict[str, Any], settings: SftSettings, data: TrainingData) -> Any:
        """trl must not touch the rows: they are tokenized, labelled and truncated already."""
        from trl import SFTConfig

        return SFTConfig(**common, max_length=None, dataset_kwargs={"skip_prepare_dataset": True})

    def trainer_type(self, settings: SftSettings) -> type[Any]:
        """trl's own."""
        from trl import SFTTrainer

        return SFTTrainer

    def summary(self, counts: Mapping[str, float]) -> Iterable[tuple[str, str]]:
        """The share of response tokens that the model ranks first."""
        if "token_accuracy" in counts:
            yield "token accuracy of the last steps", f"{counts['token_accuracy']:.3f}"


def columns_with_labels(examples: Sequence[Example]) -> dict[str, list[Any]]:
    """Columns `input_ids` and `labels` (-100 on the prompt) for supervised training."""
    import numpy as np

    ids = [example.prompt + example.completion for example in examples]
    labels = [array("i", [IGNORED]) * len(example.prompt) + example.completion for example in examples]
    return {"input_ids": [np.asarray(row) for row in ids], "labels": [np.asarray(row) for row in labels]}


METHOD = SftMethod()
