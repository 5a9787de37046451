"""Simple preference optimization (Meng, Xia and Chen, arXiv 2405.14734): rewards by token, and no reference.

The loss of a pair (equation 6) is -log s(beta log p(y_w) / |y_w| - beta log p(y_l) / |y_l| - gamma), with s the
logistic function and |y| a response's tokens. The method needs pairs and no reference.
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


class SimpoOptions(Settings):
    """What SimPO has beside the settings of every training."""

    beta: float = Field(
        2.5,
        gt=0,
        le=100,
        description="scale of the rewards; its authors: 2.0 for base, 2.5 for instruct models, up to 10",
    )
    gamma_beta_ratio: float = Field(
        0.5,
        ge=0,
        description="target margin of the rewards over beta; its authors' starting point: 0.5, between 0 and 1",
    )


class SimpoSettings(PreferenceSettings):
    """Settings of SimPO. Its authors search learning_rate over 3e-7, 5e-7 and 1e-6, with a global_batch of 128."""

    runs_in_stages: ClassVar[bool] = True

    method: Literal["simpo"] = Field("simpo", description="SimPO on pairs of a chosen and a rejected response")
    epochs: int = Field(1, ge=1, le=1000, description="passes over the pairs; the paper: 1")
    simpo: SimpoOptions = Field(SimpoOptions(), description="SimPO's own settings")


class SimpoMethod(PairMethod[SimpoSettings]):
    """SimPO's loss, pair by pair."""

    name = "simpo"
    does = "widens the gap by token, to a target margin"
    source = "Meng, Xia and Chen, arXiv 2405.14734"
    settings = SimpoSettings

    def objective(self, settings: SimpoSettings, data: TrainingData) -> "Objective[Any]":
        """The loss, without a reference."""
        from components.train.objectives.reference_free import ReferenceFreeObjective

        beta = settings.simpo.beta
        return ReferenceFreeObjective(
            simpo_loss(beta, settings.simpo.gamma_beta_ratio * beta), beta, scores_prompts=False
        )

    def loss_arguments(self, settings: SimpoSettings) -> dict[str, Any]:
        """The loss is the trainer's own."""
        return {"beta": settings.simpo.beta}

    def trainer_type(self, settings: SimpoSettings) -> type[Any]:
        """A trainer without a reference."""
        beta = settings.simpo.beta
        return reference_free_trainer(simpo_loss(beta, settings.simpo.gamma_beta_ratio * beta), beta)


def simpo_loss(beta: float, gamma: float) -> PairLoss:
    """The loss with its beta and gamma."""

    def loss(of: PairLogProbs) -> tuple[Any, dict[str, Any]]:
        import torch.nn.functional as F  # noqa: N812 - its usual name

        return -F.logsigmoid(beta * (of.chosen - of.rejected) - gamma), {}

    return loss


METHOD = SimpoMethod()
