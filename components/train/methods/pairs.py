"""What all methods share that read pairs: the rows, their columns, the order of training, and the metrics."""

from abc import abstractmethod
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from components.shared.rows import Pair
from components.train.batches.split import Split
from components.train.methods.method import TrainingData, TrainingMethod
from components.train.methods.preference import PreferenceSettings

if TYPE_CHECKING:
    from components.train.batches.build_dataset import Template
    from components.train.batches.token_files import TokenFiles

SomePairSettings = TypeVar("SomePairSettings", bound=PreferenceSettings)


class PairMethod(TrainingMethod[SomePairSettings]):
    """A method on pairs of a chosen and a rejected response to one prompt.

    Every loss here is a mean over pairs, and each pair's part depends on that pair alone, so neither the ranks nor the
    micro-batch change it. A forward pass holds both responses of each of its pairs.
    """

    part = "pairs"
    row_type = Pair
    responses = 2
    metrics: ClassVar[Mapping[str, str]] = {
        "rewards/chosen": "chosen_reward",
        "rewards/rejected": "rejected_reward",
        "rewards/margins": "reward_margin",
        "rewards/accuracies": "reward_accuracy",
        "logps/chosen": "chosen_log_prob",
        "logps/rejected": "rejected_log_prob",
        "nll_loss": "sft_loss",
    }

    def prepare(
        self,
        rows: Iterable[Pair],
        template: "Template",
        settings: SomePairSettings,
        split: Split,
        files: "TokenFiles | None" = None,
    ) -> TrainingData:
        """Each epoch is shuffled by itself."""
        from components.train.batches.build_pairs import build_pairs, pair_columns, pair_positions, pair_tokens
        from components.train.batches.order import padded_lengths, shuffled_epochs
        from components.train.batches.token_files import InMemory

        made = (files or InMemory()).tokens(pair_columns, lambda kept: build_pairs(template, rows, settings, kept))
        order = shuffled_epochs(padded_lengths(made.columns), settings.epochs, settings.seed, split)
        return TrainingData(
            made.columns,
            order,
            pair_tokens(made.columns),
            made.counts,
            notes=made.notes,
            positions=pair_positions(made.columns),
        )

    def decides_tokens(self, settings: SomePairSettings) -> Mapping[str, Any]:
        """What becomes of long rows."""
        return settings.truncation

    def arguments(self, common: dict[str, Any], settings: SomePairSettings, data: TrainingData) -> Any:
        """trl must not touch the rows: they are tokenized and truncated already."""
        from trl import DPOConfig

        # Without a reference model beside the one that is trained.
        shared = {"max_length": None, "precompute_ref_log_probs": True}
        return DPOConfig(**common, **shared, **self.loss_arguments(settings))

    @abstractmethod
    def loss_arguments(self, settings: SomePairSettings) -> dict[str, Any]:
        """The arguments of trl's DPOConfig that define the loss."""

    def summary(self, counts: Mapping[str, float]) -> Iterable[tuple[str, str]]:
        """Rewards of the last steps, and pairs without a difference."""
        if "reward_margin" in counts:
            rewards = f"{counts['chosen_reward']:+.3f}, {counts['rejected_reward']:+.3f}"
            yield "rewards, chosen and rejected", f"{rewards} (margin {counts['reward_margin']:+.3f})"
            yield "pairs whose chosen response has the higher reward", f"{counts['reward_accuracy']:.3f}"
        if counts.get("pairs_equal"):
            yield "pairs dropped, as their responses are equal", f"{counts['pairs_equal']:,.0f}"
