"""Kahneman-Tversky optimization (Ethayarajh and others, arXiv 2402.01306) on desirable and undesirable responses.

The loss of a row, with r = log p / p_ref of its response and z0 the mean of log p / p_ref over mismatched pairs of its
batch (not below 0), is lambda_D (1 - sigmoid(beta (r - z0))) where it is desirable and lambda_U (1 - sigmoid(beta
(z0 - r))) where not (equations 7 and 8). The loss apo_zero_unpaired has 0 for z0 (D'Oosterlinck and others, arXiv
2408.06266, equation 7 without its pairs). The method needs judged rows; the reference is the model that training
starts from.
"""

from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from components.models.forward.example import Example
from components.shared.errors import InputError
from components.shared.rows import KtoRow
from components.shared.settings import Settings
from components.train.batches.split import Split
from components.train.methods.method import TrainingData, TrainingMethod
from components.train.methods.preference import PreferenceSettings

if TYPE_CHECKING:
    import numpy as np

    from components.train.batches.build_dataset import Template
    from components.train.batches.token_files import TokenFiles
    from components.train.objectives.objective import Objective


class KtoOptions(Settings):
    """What KTO has beside the settings of every training."""

    loss: Literal["kto", "apo_zero_unpaired"] = Field(
        "kto",
        description="kto; apo_zero_unpaired: without a reference point, where the desirable responses are better than "
        "the model's own. It saves a forward pass, and every epoch shuffles rows rather than groups of them",
    )
    beta: float = Field(0.1, gt=0, le=10, description="how strongly the model is held to the reference; the paper: 0.1")
    desirable_weight: float = Field(1.0, gt=0, description="weight of the loss of desirable rows (lambda_D)")
    undesirable_weight: float = Field(1.0, gt=0, description="weight of the loss of undesirable rows (lambda_U)")
    balance: bool = Field(
        True,
        description="multiply the weight of the rarer kind so that weight times count is equal for both: the lower end "
        "of the KTO paper's range, 1 to 4/3, for desirable over undesirable (equation 8)",
    )
    kl_batch: int = Field(
        16,
        ge=2,
        description="with loss kto: rows, over all ranks, whose mismatched pairs estimate the reference point z0 "
        "together, the same rows of similar length in every epoch; one forward pass holds kl_batch / ranks rows in "
        "each process, whatever micro_batch is; with micro_batch_tokens several such groups too, as far as both limits "
        "allow",
    )
    reference_batch: int = Field(
        32,
        ge=1,
        description="most rows of one process in a forward pass when the reference's log-probs are precomputed; "
        "micro_batch_tokens limits it too",
    )

    not_in_cache_key: ClassVar[frozenset[str]] = frozenset({"reference_batch"})


class KtoSettings(PreferenceSettings):
    """Settings of KTO. Its authors advise a `global_batch` of 8 to 32."""

    runs_in_stages: ClassVar[bool] = True

    method: Literal["kto"] = Field("kto", description="KTO on desirable and undesirable responses")
    kto: KtoOptions = Field(KtoOptions(), description="KTO's own settings")

    @model_validator(mode="after")
    def _kl_batch_divides(self) -> Self:
        if self.kto.loss != "kto":
            return self
        if self.global_batch % self.kto.kl_batch:
            raise ValueError(f"kto.kl_batch {self.kto.kl_batch} does not divide global_batch {self.global_batch}")
        if self.shares == "speed" or self.stages is not None:
            return self
        if self.kto.kl_batch % self.ranks or self.kto.kl_batch < 2 * self.ranks:
            raise ValueError(
                f"kto.kl_batch {self.kto.kl_batch} is not at least 2 rows for each of the {self.ranks} ranks, or not a "
                "multiple of their number"
            )
        return self

    @property
    def method_version(self) -> int:
        """2: the groups of a reference point are of similar length, and shuffled in every epoch."""
        return 2 if self.kto.loss == "kto" else super().method_version

    @property
    def rows_together(self) -> int:
        """The rows that estimate a reference point, if there is one."""
        return self.kto.kl_batch if self.kto.loss == "kto" else super().rows_together

    @property
    def forward_rule(self) -> str:
        """A forward pass holds the rows whose pairs estimate one reference point, if there is one."""
        return "kto.kl_batch / ranks" if self.kto.loss == "kto" else super().forward_rule

    def forward_rows(self, ranks: int) -> int:
        """Rows by `forward_rule`."""
        return self.kto.kl_batch // ranks if self.kto.loss == "kto" else super().forward_rows(ranks)


@dataclass(frozen=True)
class JudgedExample(Example):
    """An example with KTO's label."""

    desirable: bool


class KtoMethod(TrainingMethod[KtoSettings]):
    """KTO with pairs and reference log-probs that are fixed before training.

    The reference's log-probs are computed once, so no second model is held. The rows that estimate a reference point
    together are of similar length and the same in every epoch, as their mismatched pairs belong to them; each epoch
    shuffles these groups.
    """

    name = "kto"
    does = "raises desirable and lowers undesirable responses, against a reference point or 0"
    source = "Ethayarajh and others, arXiv 2402.01306; D'Oosterlinck and others, arXiv 2408.06266"
    has_reference = True
    part = "kto"
    row_type = KtoRow
    settings = KtoSettings
    metrics: ClassVar[Mapping[str, str]] = {
        "rewards/chosen": "desirable_reward",
        "rewards/rejected": "undesirable_reward",
        "rewards/margins": "reward_margin",
        "kl": "kl",
    }

    def prepare(
        self,
        rows: Iterable[KtoRow],
        template: "Template",
        settings: KtoSettings,
        split: Split,
        files: "TokenFiles | None" = None,
    ) -> TrainingData:
        """With loss kto, one row of the data set for each place in an epoch, with the mismatched response beside it."""
        from components.train.batches.build_dataset import build_examples
        from components.train.batches.token_files import InMemory

        files = files or InMemory()
        made = files.tokens(judged_columns, lambda kept: build_examples(template, rows, settings, _judged, kept))
        if settings.kto.loss == "kto":
            data = pair_examples(made.columns, settings, split, files)
        else:
            data = shuffle_examples(made.columns, settings, split)
        return replace(data, counts=data.counts | made.counts, notes=(*made.notes, *data.notes))

    def reads_others(self, settings: KtoSettings) -> bool:
        """The mismatched responses, which estimate the reference point."""
        return settings.kto.loss == "kto"

    def decides_tokens(self, settings: KtoSettings) -> Mapping[str, Any]:
        """What becomes of long rows."""
        return settings.truncation

    def objective(self, settings: KtoSettings, data: TrainingData) -> "Objective[Any]":
        """KTO's loss with the weights that follow from the data."""
        from components.train.objectives.kto import KtoObjective

        return KtoObjective(
            beta=settings.kto.beta,
            weights=(data.arguments["undesirable_weight"], data.arguments["desirable_weight"]),
            max_length=settings.max_length,
            kl_batch=settings.kto.kl_batch if settings.kto.loss == "kto" else None,
            reference_batch=settings.kto.reference_batch,
        )

    def arguments(self, common: dict[str, Any], settings: KtoSettings, data: TrainingData) -> Any:
        """A mismatched pair may exceed max_length, so trl truncates too."""
        from trl import KTOConfig

        return KTOConfig(
            **common,
            max_length=settings.max_length,
            loss_type=settings.kto.loss,
            beta=settings.kto.beta,
            precompute_ref_log_probs=True,
            precompute_ref_batch_size=settings.kto.reference_batch,
            **data.arguments,
        )

    def trainer_type(self, settings: KtoSettings) -> type[Any]:
        """trl's, with two of its preparations replaced."""
        from trl import KTOTrainer

        from components.train.methods.reference_log_probs import with_reference

        names = ("ref_logps", "ref_KL_logps") if settings.kto.loss == "kto" else ("ref_logps",)

        class ReadyKtoTrainer(KTOTrainer):
            def _prepare_dataset(self, dataset: Any, *_: Any) -> Any:
                # Rows are tokenized and paired already, across all ranks.
                return dataset

            def _precompute_ref_logps(self, dataset: Any, _name: str, batch_size: int) -> Any:
                return with_reference(self, dataset, batch_size, names)

            def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
                if settings.kto.loss != "kto":
                    # trl logs 0, which nobody measured.
                    self._metrics["train"].pop("kl", None)
                super().log(logs, start_time)

        return ReadyKtoTrainer

    def summary(self, counts: Mapping[str, float]) -> Iterable[tuple[str, str]]:
        """Rewards of the last steps, and pairs from outside their batch."""
        if {"desirable_reward", "undesirable_reward"} <= counts.keys():
            rewards = f"{counts['desirable_reward']:+.3f}, {counts['undesirable_reward']:+.3f}"
            kl = f" (KL {counts['kl']:.3f})" if "kl" in counts else ""
            yield "rewards, desirable and undesirable", f"{rewards}{kl}"
        if counts.get("kl_pairs_elsewhere"):
            elsewhere = f"{counts['kl_pairs_elsewhere']:,.0f} of {counts['kl_pairs']:,.0f}"
            yield "mismatched pairs with a response from outside their batch", elsewhere


def _judged(row: KtoRow, prompt: "array[int]", completion: "array[int]") -> JudgedExample:
    return JudgedExample(prompt, completion, row.label)


def pair_examples(columns: Mapping[str, Any], settings: KtoSettings, split: Split, files: "TokenFiles") -> TrainingData:
    """Columns and order of the training: each row with the response of another prompt. Raises InputError.

    The columns hold the rows group by group, `kl_batch` of them each, in an order that follows from the seed. Where the
    last step lacks rows, some occur twice in each epoch.
    """
    import numpy as np

    from components.train.batches.mismatch import notes_on_pairs, number_prompts
    from components.train.batches.order import bucketed, mismatched, padded_lengths, shuffled, shuffled_groups
    from components.train.batches.token_table import lengths_of

    lengths = padded_lengths(_ids(columns))
    kl_batch = settings.kto.kl_batch
    order = bucketed(shuffled(len(lengths), split.global_batch, settings.seed, epoch=0), lengths, kl_batch)
    prompts = number_prompts(columns["prompt_ids"])
    partners, elsewhere = mismatched(order, kl_batch, prompts, settings.seed)
    kinds = _kinds(columns)
    balanced = weights(settings.kto, **kinds)
    others = lengths_of(columns["completion_ids"])[partners]
    room = settings.max_length - lengths_of(columns["prompt_ids"])[order]
    pairs = {
        "prompts": float(prompts.max() + 1),
        "rows_repeated": float(len(order) - len(lengths)),
        "kl_pairs": float(len(order)),
        "kl_pairs_elsewhere": elsewhere,
        # Of one epoch; they are read without gradients, beside the tokens that are trained on.
        "kl_tokens": float(np.minimum(others, room).sum()),
    }
    return TrainingData(
        files.arranged(_arranged(columns, order, partners)),
        shuffled_groups(lengths[order], kl_batch, settings.epochs, settings.seed, split),
        lengths[order],
        kinds | pairs | balanced,
        balanced,
        notes_on_pairs(elsewhere, len(order), len(lengths), kl_batch),
        np.maximum(lengths[order], _other_positions(columns, order, others, room, settings)) - 1,
        together=kl_batch,
    )


def _other_positions(
    columns: Mapping[str, Any], order: "np.ndarray", others: "np.ndarray", room: "np.ndarray", settings: KtoSettings
) -> "np.ndarray":
    """Tokens of the pass over the other responses: those alone, and in stages their prompts, which are read again."""
    import numpy as np

    from components.train.batches.token_table import lengths_of

    if settings.stages is None:
        return others
    return np.asarray(lengths_of(columns["prompt_ids"])[order] + np.minimum(others, room))


def shuffle_examples(columns: Mapping[str, Any], settings: KtoSettings, split: Split) -> TrainingData:
    """Order of a training without a reference point. Raises InputError."""
    from components.train.batches.order import padded_lengths, shuffled_epochs

    lengths = padded_lengths(_ids(columns))
    kinds = _kinds(columns)
    balanced = weights(settings.kto, **kinds)
    order = shuffled_epochs(lengths, settings.epochs, settings.seed, split)
    return TrainingData(columns, order, lengths, kinds | balanced, balanced, positions=lengths - 1)


def judged_columns(examples: Sequence[JudgedExample]) -> dict[str, Any]:
    """Columns of token ids, `prompt_ids` and `completion_ids`, and `label`: whether the completion is desirable."""
    import numpy as np

    return {
        "prompt_ids": [np.asarray(example.prompt) for example in examples],
        "completion_ids": [np.asarray(example.completion) for example in examples],
        "label": [example.desirable for example in examples],
    }


def _ids(columns: Mapping[str, Any]) -> dict[str, Any]:
    return {name: columns[name] for name in ("prompt_ids", "completion_ids")}


def _arranged(columns: Mapping[str, Any], order: "np.ndarray", partners: "np.ndarray") -> Iterator[dict[str, Any]]:
    """Batches of the rows in an order, each with the response of its partner."""
    from components.train.batches.token_table import ROWS_PER_BATCH

    completions = columns["completion_ids"]
    for begin in range(0, len(order), ROWS_PER_BATCH):
        places = slice(begin, begin + ROWS_PER_BATCH)
        taken = {name: [column[row] for row in order[places]] for name, column in columns.items()}
        yield taken | {"KL_completion_ids": [completions[row] for row in partners[places]]}


def _kinds(columns: Mapping[str, Any]) -> dict[str, float]:
    desirable = sum(map(bool, columns["label"]))
    return {"desirable": float(desirable), "undesirable": float(len(columns["label"]) - desirable)}


def weights(kto: KtoOptions, desirable: float, undesirable: float) -> dict[str, float]:
    """lambda_D and lambda_U, balanced by the counts where the settings ask for it. Raises InputError."""
    if not desirable or not undesirable:
        raise InputError(
            f"KTO has {desirable:.0f} desirable and {undesirable:.0f} undesirable rows",
            rule="KTO learns from the difference between both kinds",
            remedy="loosen the select step's thresholds until it selects rows of both kinds",
        )
    more = max(desirable, undesirable) if kto.balance else 0.0
    return {
        "desirable_weight": kto.desirable_weight * (more / desirable if more else 1.0),
        "undesirable_weight": kto.undesirable_weight * (more / undesirable if more else 1.0),
    }


METHOD = KtoMethod()
