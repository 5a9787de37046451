"""What a plan shows: the document of `tutelage plan --json`, from which the terminal's text is made."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

from components.train.balance.plan import SplitName
from components.train.balance.split_plan import SplitPlan
from components.train.balance.stage_layout import StageLayout


class PlanPart(BaseModel):
    """A part of the document."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class DeviceCost(PlanPart):
    """What all devices of a price list cost for one training."""

    amount: float
    currency: str


class PlannedTime(PlanPart):
    """What the complete training takes.

    Attributes:
        reference_seconds: of computing the reference's log-probs once, before the first step.
        seconds: of all steps and that; None where no speed is known.
        device_hours: of all devices together.
        costs: by the placement's prices, in each currency; empty unless all devices have one.
        unpriced: devices without a price where others have one.
    """

    reference_seconds: float | None = None
    seconds: float | None = None
    device_hours: float | None = None
    costs: tuple[DeviceCost, ...] = ()
    unpriced: tuple[str, ...] = ()


class PlannedSplit(PlannedTime):
    """One split of a training, and what the complete training takes with it.

    Attributes:
        refused: why the training cannot be split so; empty where it can.
        plan: None where it is refused.
    """

    split: SplitName
    refused: str = ""
    plan: SplitPlan | None = None


class PlannedLayout(PlannedTime):
    """One layout of a training in pipeline stages, and what the complete training takes with it."""

    layout: StageLayout


class PlannedStages(PlanPart):
    """A training in pipeline stages.

    Attributes:
        asked: why stages are shown.
        refused: why the training cannot run in stages; empty where it can.
        layouts: for each number of pipelines even, balanced and, for one, as the recipe lists its layers.
        best: number of the fastest layout that fits; None where none does.
        chosen: number of the layout that the recipe's settings ask for; None where they ask for no stages.
        why: the comparison in a sentence.
    """

    asked: str
    refused: str = ""
    layouts: tuple[PlannedLayout, ...] = ()
    best: int | None = None
    chosen: int | None = None
    why: str = ""


class FewestNodes(PlanPart):
    """A training on the fewest nodes on which it continues, as the recipe's settings have it.

    Attributes:
        ranks: processes that are left.
        split: None for a training in stages.
        stages: None for one that has none.
    """

    ranks: int
    split: PlannedSplit | None = None
    stages: PlannedStages | None = None


class TrainingPlan(PlanPart):
    """Trainings that are planned alike.

    Attributes:
        tasks: their names.
        chosen: what the recipe's settings ask for: a split, or stages.
        start: the model whose shape is planned with, and where it was read.
        trained: parameters that are trained.
        rows: of an epoch, or of the assumption.
        rows_from: where the number of rows and their tokens are from.
        splits: even, then balanced: every rank holds the model, or ZeRO shards it.
        stages: where the recipe, the devices' memory or their links ask for stages.
        fewest: where its launch lets it continue on fewer nodes (least_nodes).
    """

    tasks: tuple[str, ...]
    method: str
    chosen: SplitName | Literal["stages"]
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
    stages: PlannedStages | None = None
    fewest: FewestNodes | None = None


class PlanDocument(PlanPart):
    """The plan of a recipe's trainings. `notes`: what the numbers rest on, and what they leave out."""

    format: Literal["plan/1"] = "plan/1"
    name: str
    title: str
    trainings: tuple[TrainingPlan, ...]
    notes: tuple[str, ...]
