"""Odds ratio preference optimization (Hong, Lee and Thorne, arXiv 2403.07691): SFT and preference in one stage.

The loss of a pair (equation 6) is L_SFT + lambda L_OR. L_SFT is the mean negative log-likelihood of the chosen row's
tokens, prompt and response as in the authors' code; L_OR = -log s(log odds(y_w) - log odds(y_l)) (equation 7), with s
the logistic function, odds(y) = P / (1 - P) (equation 4) and log P the mean log-prob of a response's tokens. The method
needs pairs and no reference.
"""

from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from components.shared.settings import Settings
from components.train.methods.method import TrainingData
from components.train.methods.pairs import PairMethod
from components.train.methods.preference import PreferenceSettings
from components.train.methods.reference_free import reference_free_trainer
from components.train.objectives.pair_log_probs import PairLogProbs, PairLoss

if TYPE_CHECKING:
    from components.train.objectives.objective import Objective


class OrpoOptions(Settings):
    """What ORPO has beside the settings of every training."""

    weight: float = Field(
        0.1, gt=0, description="weight of the odds ratio's loss (lambda); its authors' recipe for Mistral-7B: 0.1"
    )


class OrpoSettings(PreferenceSettings):
    """Settings of ORPO. Its authors' recipe for Mistral-7B: 5 epochs, global_batch 32."""

    runs_in_stages: ClassVar[bool] = True

    method: Literal["orpo"] = Field("orpo", description="ORPO on pairs of a chosen and a rejected response")
    learning_rate: float = Field(5e-6, gt=0, le=1, description="peak of the schedule; the same recipe: 5e-6")
    orpo: OrpoOptions = Field(OrpoOptions(), description="ORPO's own settings")


class OrpoMethod(PairMethod[OrpoSettings]):
    """ORPO's loss, pair by pair."""

    name = "orpo"
    does = "SFT on chosen responses, with the odds ratio to the rejected ones"
    source = "Hong, Lee and Thorne, arXiv 2403.07691"
    settings = OrpoSettings
    metrics: ClassVar = {**PairMethod.metrics, "log_odds_chosen": "log_odds_ratio"}

    def objective(self, settings: OrpoSettings, data: TrainingData) -> "Objective[Any]":
        """The loss, without a reference."""
        from components.train.objectives.reference_free import ReferenceFreeObjective

        return ReferenceFreeObjective(orpo_loss(settings.orpo.weight), settings.orpo.weight, scores_prompts=True)

    def loss_arguments(self, settings: OrpoSettings) -> dict[str, Any]:
        """The loss is the trainer's own."""
        return {"beta": settings.orpo.weight}

    def trainer_type(self, settings: OrpoSettings) -> type[Any]:
        """A trainer without a reference."""
        return reference_free_trainer(orpo_loss(settings.orpo.weight), settings.orpo.weight)


def orpo_loss(weight: float) -> PairLoss:
    """The loss with its lambda."""

    def loss(of: PairLogProbs) -> tuple[Any, dict[str, Any]]:
        import torch.nn.functional as F  # noqa: N812 - its usual name

        chosen, rejected = of.chosen.float(), of.rejected.float()
        log_odds = chosen - rejected - (log1mexp(chosen) - log1mexp(rejected))
        return -of.row - weight * F.logsigmoid(log_odds), {"nll_loss": -of.row, "log_odds_chosen": log_odds}

    return loss


def log1mexp(value: Any) -> Any:
    """log(1 - exp(value)) of a tensor below 0, without cancellation on either side of -log 2."""
    import torch

    return torch.where(value < -0.6931471805599453, torch.log1p(-torch.exp(value)), torch.log(-torch.expm1(value)))


METHOD = OrpoMethod()
