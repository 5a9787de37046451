"""What a plan shows: the document of `tutelage plan --json`, from which the terminal's text is made."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

from components.train.balance.plan import SplitName
from components.train.balance.split_plan import SplitPlan


class PlanPart(BaseModel):
    """A part of the document."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class DeviceCost(PlanPart):
    """What all devices of a price list cost for one training."""

    amount: float
    currency: str


class PlannedSplit(PlanPart):
    """One split of a training, and what the complete training takes with it.

    Attributes:
        refused: why the training cannot be split so; empty where it can.
        plan: None where it is refused.
        reference_seconds: of computing the reference's log-probs once, before the first step.
        seconds: of all steps and that; None where no speed is known.
        device_hours: of all devices together.
        costs: by the placement's prices, in each currency; empty unless all devices have one.
        unpriced: devices without a price where others have one.
    """

    split: SplitName
    refused: str = ""
    plan: SplitPlan | None = None
    reference_seconds: float | None = None
    seconds: float | None = None
    device_hours: float | None = None
    costs: tuple[DeviceCost, ...] = ()
    unpriced: tuple[str, ...] = ()


class TrainingPlan(PlanPart):
    """Trainings that are planned alike.

    Attributes:
        tasks: their names.
        chosen: the split that the recipe's settings ask for.
        start: the model whose shape is planned with, and where it was read.
        trained: parameters that are trained.
        rows: of an epoch, or of the assumption.
        rows_from: where the number of rows and their tokens are from.
        splits: even, then balanced.
    """

    tasks: tuple[str, ...]
    method: str
    chosen: SplitName
    start: str
    start_from: str
    parameters: int
    trained: int
    global_batch: int
    epochs: int
    steps: int
    rows: int
    row_tokens: int
    rows_from: str
    splits: tuple[PlannedSplit, ...]


class PlanDocument(PlanPart):
    """The plan of a recipe's trainings. `notes`: what the numbers rest on, and what they leave out."""

    format: Literal["plan/1"] = "plan/1"
    name: str
    title: str
    trainings: tuple[TrainingPlan, ...]
    notes: tuple[str, ...]
