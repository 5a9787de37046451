"""A training method that the product does not have: it imitates desirable responses and reads KTO's part for that."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from components.models.forward.example import Example
from components.shared.rows import KtoRow
from components.train.batches.split import Split
from components.train.methods.method import TrainingData, TrainingMethod
from components.train.methods.sft import columns_with_labels
from components.train.settings import TrainSettings

if TYPE_CHECKING:
    from components.train.batches.build_dataset import Template
    from components.train.batches.examples import Examples, Kept
    from components.train.batches.token_files import TokenFiles


class CloningSettings(TrainSettings):
    """Settings of the made-up method."""

    method: Literal["cloning"] = Field("cloning", description="imitate desirable responses")
    most_rows: int = Field(8, ge=1, description="rows that are read")


class CloningMethod(TrainingMethod[CloningSettings]):
    """TRL's SFTTrainer on the desirable rows of KTO's part, each once and in their own order."""

    name = "cloning"
    does = "imitates desirable responses"
    source = "made up"
    part = "kto"
    row_type = KtoRow
    settings = CloningSettings
    metrics: ClassVar[Mapping[str, str]] = {"entropy": "entropy"}

    def prepare(
        self,
        rows: Iterable[KtoRow],
        template: "Template",
        settings: CloningSettings,
        split: Split,
        files: "TokenFiles | None" = None,
    ) -> TrainingData:
        """The first desirable rows."""
        import numpy as np

        from components.train.batches.build_dataset import build_examples
        from components.train.batches.token_files import InMemory
        from components.train.batches.token_table import lengths_of

        def build(kept: "Kept[Example]") -> "Examples[Example]":
            desirable = [row for row in rows if row.label][: settings.most_rows]
            return build_examples(template, desirable, settings, lambda _, *tokens: Example(*tokens), kept)

        made = (files or InMemory()).tokens(columns_with_labels, build)
        lengths = lengths_of(made.columns["input_ids"])
        order = np.resize(np.arange(len(lengths)), -(-len(lengths) // split.global_batch) * split.global_batch)
        return TrainingData(made.columns, order, lengths, made.counts)

    def arguments(self, common: dict[str, Any], settings: CloningSettings, data: TrainingData) -> Any:
        """The rows are already tokenized."""
        from trl import SFTConfig

        return SFTConfig(**common, max_length=None, dataset_kwargs={"skip_prepare_dataset": True})

    def trainer_type(self, settings: CloningSettings) -> type[Any]:
        """TRL's SFTTrainer."""
        from trl import SFTTrainer

        return SFTTrainer

    def summary(self, counts: Mapping[str, float]) -> Iterable[tuple[str, str]]:
        """The metric of the made-up method."""
        yield "entropy of the last steps", f"{counts['entropy']:.2f} nats"


METHOD = CloningMethod()
