"""Direct preference optimization (Rafailov and others, arXiv 2305.18290) on pairs, and the losses that followed it.

With r = log p / p_ref of a response, w the chosen and l the rejected one, |y| its tokens, and s the logistic function:

| loss | of a pair | source |
|---|---|---|
| sigmoid | -log s(beta (r_w - r_l)) | DPO, equation 7 |
| ipo | (r_w / |y_w| - r_l / |y_l| - 1 / (2 beta))^2 | Azar and others, arXiv 2310.12036, equation 17, by token |
| hinge | max(0, 1 - beta (r_w - r_l)) | SLiC-HF, Zhao and others, arXiv 2305.10425, with r as its score |
| robust | ((1 - e) sigmoid(w, l) - e sigmoid(l, w)) / (1 - 2e) | Ray Chowdhury and others, arXiv 2403.00409, § 3.1 |
| apo_zero | 1 - s(beta r_w) + s(beta r_l) | D'Oosterlinck and others, arXiv 2408.06266, equation 7 |
| apo_down | s(beta r_w) + 1 - s(beta (r_w - r_l)) | the same, equation 8 |
| sigmoid_norm | -log s(beta (r_w / |y_w| - r_l / |y_l|)) | Tülu 3, Lambert and others, arXiv 2411.15124, section 5 |

`label_smoothing` e is the share of pairs whose preference is believed to be the wrong way round. With sigmoid the loss
is (1 - e) sigmoid(w, l) + e sigmoid(l, w) (conservative DPO: Mitchell, "A note on DPO with noisy preferences", 2023).
`rpo_alpha` adds alpha times the mean negative log-likelihood of the chosen response's tokens (Pang and others,
arXiv 2404.19733, equation 1). The method needs pairs; the reference is the model that training starts from.
"""

from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from components.shared.settings import Settings
from components.train.methods.method import TrainingData
from components.train.methods.pairs import PairMethod
from components.train.methods.preference import PreferenceSettings

if TYPE_CHECKING:
    from components.train.objectives.objective import Objective

Loss = Literal["sigmoid", "ipo", "hinge", "robust", "apo_zero", "apo_down", "sigmoid_norm"]
SMOOTHED = ("sigmoid", "robust")
"""Losses with label smoothing."""

BETAS: dict[Loss, float] = {
    "sigmoid": 0.1,  # the paper, appendix B; SmolLM2's recipe: 0.5
    "ipo": 0.1,  # trl's
    "hinge": 0.1,  # trl's
    "robust": 0.1,  # trl's
    "apo_zero": 0.05,  # SmolLM3's recipe
    "apo_down": 0.1,  # trl's
    "sigmoid_norm": 5.0,  # Tülu 3
}


class DpoOptions(Settings):
    """What DPO has beside the settings of every training."""

    loss: Loss = Field(
        "sigmoid",
        description="sigmoid: DPO's own; apo_zero where the chosen responses are better than the model's own, apo_down "
        "where they are worse; sigmoid_norm: by token, as in Tülu 3; ipo, hinge; robust: unbiased under label noise",
    )
    beta: float | None = Field(
        None,
        gt=0,
        le=100,
        description="how strongly the model is held to the reference; left out: 5 for sigmoid_norm (Tülu 3), 0.05 for "
        "apo_zero (SmolLM3), otherwise 0.1 (the paper; SmolLM2: 0.5)",
    )
    label_smoothing: float = Field(
        0.0,
        ge=0,
        lt=0.5,
        description="share of pairs whose preference may be the wrong way round, with sigmoid and robust; the paper of "
        "robust: 0.1",
    )
    rpo_alpha: float = Field(
        0.0,
        ge=0,
        description="weight of the mean negative log-likelihood of the chosen response's tokens; arXiv 2404.19733: 1",
    )
    reference_batch: int = Field(
        16,
        ge=1,
        description="most pairs of one process in a forward pass when the reference's log-probs are precomputed; "
        "micro_batch_tokens limits it too",
    )

    not_in_cache_key: ClassVar[frozenset[str]] = frozenset({"reference_batch"})

    @property
    def strength(self) -> float:
        """Beta as it is used."""
        return BETAS[self.loss] if self.beta is None else self.beta

    @model_validator(mode="after")
    def _smoothing_fits_loss(self) -> Self:
        if self.label_smoothing and self.loss not in SMOOTHED:
            raise ValueError(
                f"label_smoothing has no meaning with loss {self.loss}; it goes with {', '.join(SMOOTHED)}"
            )
        if self.loss == "robust" and not self.label_smoothing:
            raise ValueError("loss robust needs a label_smoothing above 0; its paper uses 0.1")
        return self


class DpoSettings(PreferenceSettings):
    """Settings of DPO. Tülu 3: learning_rate 5e-7, 1 epoch, global_batch 128; SmolLM3: 1e-6, 1 epoch, 32."""

    runs_in_stages: ClassVar[bool] = True

    method: Literal["dpo"] = Field("dpo", description="DPO on pairs of a chosen and a rejected response")
    epochs: int = Field(2, ge=1, le=1000, description="passes over the pairs; SmolLM2-135M and -360M: 2")
    dpo: DpoOptions = Field(DpoOptions(), description="DPO's own settings")


class DpoMethod(PairMethod[DpoSettings]):
    """DPO's losses, with the reference's log-probs computed once, so no second model is held."""

    name = "dpo"
    does = "widens the gap between chosen and rejected responses; seven losses, label smoothing, an SFT term"
    source = "Rafailov and others, arXiv 2305.18290, and those that its file names"
    has_reference = True
    settings = DpoSettings

    def objective(self, settings: DpoSettings, data: TrainingData) -> "Objective[Any]":
        """The loss that the options name."""
        from components.train.objectives.dpo import DpoObjective

        options = settings.dpo
        return DpoObjective(
            options.loss,
            beta=options.strength,
            label_smoothing=options.label_smoothing,
            rpo_alpha=options.rpo_alpha,
            reference_batch=options.reference_batch,
        )

    def loss_arguments(self, settings: DpoSettings) -> dict[str, Any]:
        """trl's names of the losses, and weights where one of ours is a sum of them."""
        options = settings.dpo
        return {
            "beta": options.strength,
            "label_smoothing": options.label_smoothing,
            "precompute_ref_batch_size": options.reference_batch,
            **_weighted(options),
        }

    def trainer_type(self, settings: DpoSettings) -> type[Any]:
        """trl's, with two of its preparations replaced, and the term for the chosen responses."""
        from trl import DPOTrainer

        from components.train.methods.reference_log_probs import with_reference

        alpha = settings.dpo.rpo_alpha

        class ReadyDpoTrainer(DPOTrainer):
            def _prepare_dataset(self, dataset: Any, *_: Any) -> Any:
                # Pairs are tokenized already.
                return dataset

            def _precompute_ref_logps(self, dataset: Any, _name: str, batch_size: int) -> Any:
                names = ("ref_chosen_logps", "ref_rejected_logps")
                return with_reference(self, dataset, batch_size, names)

            def _compute_loss(self, model: Any, inputs: Any, return_outputs: bool) -> Any:
                if not alpha:
                    return super()._compute_loss(model, inputs, return_outputs)
                outputs: list[Any] = []

                def forward(**given: Any) -> Any:
                    outputs.append(model(**given))
                    return outputs[-1]

                loss = super()._compute_loss(forward, inputs, return_outputs)
                # trl's own term is a mean over the tokens of a micro-batch, so it depends on the split.
                likelihood = _mean_nll(outputs[0].log_probs, inputs["completion_mask"]).mean()
                gathered = self.accelerator.gather(likelihood.detach()).mean().item()
                self._metrics["train"]["nll_loss"].append(gathered)
                return loss + alpha * likelihood

        return ReadyDpoTrainer


def _weighted(options: DpoOptions) -> dict[str, Any]:
    """trl's losses and their weights.

    With S = sigmoid(w, l), F = sigmoid(l, w) and R = ((1 - e) S - e F) / (1 - 2 e), which is robust, conservative DPO
    is (1 - e) S + e F = 2 (1 - e) S - (1 - 2 e) R; trl's sigmoid alone ignores e.
    """
    e = options.label_smoothing
    if options.loss == "sigmoid" and e:
        return {"loss_type": ["sigmoid", "robust"], "loss_weights": [2 * (1 - e), 2 * e - 1]}
    return {"loss_type": [options.loss]}


def _mean_nll(log_probs: Any, completion_mask: Any) -> Any:
    """Mean negative log-likelihood of each chosen response's tokens, shape (pairs,).

    Args:
        log_probs: of the labels after the first token, 0 elsewhere, shape (2 * pairs, tokens - 1); chosen rows first.
        completion_mask: 1 on response tokens, shape (2 * pairs, tokens).
    """
    pairs = len(completion_mask) // 2
    tokens = completion_mask[:pairs, 1:].sum(dim=1)
    return -(log_probs[:pairs, -(completion_mask.shape[1] - 1) :] * completion_mask[:pairs, 1:]).sum(dim=1) / tokens


METHOD = DpoMethod()
