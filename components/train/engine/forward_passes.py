"""What a forward pass of one process holds, by the settings and the rows of a training."""

from components.train.batches.budgeted_order import BudgetedOrder, Limits, StepRows
from components.train.batches.split import Split, budget_rows
from components.train.memory import PassSize
from components.train.methods.method import TrainingData
from components.train.ranks import Ranks
from components.train.settings import TrainSettings


def pass_size(settings: TrainSettings, split: Split, data: TrainingData) -> PassSize:
    """How large forward passes become, for the estimate of memory."""
    longest = int(data.lengths.max())
    if settings.micro_batch_tokens is None:
        return PassSize(split.micro_batch, longest, longest)
    undivided = step_rows(settings, data).undivided(split.ranks)
    return PassSize(budget_rows(settings, split.ranks), longest, int(undivided.max()))


def budgeted_order(settings: TrainSettings, data: TrainingData, ranks: Ranks) -> BudgetedOrder | None:
    """The micro-batches of this process under the budget that `fit_memory` has left in the settings; None: without."""
    if settings.micro_batch_tokens is None:
        return None
    if settings.micro_batch_tokens == "auto":
        raise ValueError("micro_batch_tokens is auto until fit_memory has decided it")
    limits = Limits(settings.micro_batch_tokens, budget_rows(settings, ranks.world))
    return BudgetedOrder(step_rows(settings, data), limits, ranks)


def step_rows(settings: TrainSettings, data: TrainingData) -> StepRows:
    """The rows of the training, step by step."""
    return StepRows(data.order, data.pass_positions, settings.global_batch, data.together)
