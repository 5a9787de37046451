"""What a forward pass of one process holds, by the settings and the rows of a training."""

from components.train.balance.shares import MOST_TOKENS
from components.train.batches.balanced_order import BalancedOrder
from components.train.batches.budgeted_order import BudgetedOrder, Limits, MicroBatchOrder, StepRows
from components.train.batches.split import Split, budget_rows
from components.train.engine.deepspeed_config import zero_stage
from components.train.memory import PassSize
from components.train.methods.method import TrainingData
from components.train.ranks import Ranks
from components.train.settings import TrainSettings


def pass_size(settings: TrainSettings, split: Split, data: TrainingData) -> PassSize:
    """How large forward passes become, for the estimate of memory."""
    longest = int(data.lengths.max())
    if settings.micro_batch_tokens is None and settings.shares == "even":
        return PassSize(split.micro_batch, longest, longest)
    undivided = step_rows(settings, data).undivided(split.ranks)
    return PassSize(budget_rows(settings, split.ranks), longest, int(undivided.max()))


def token_budget(settings: TrainSettings) -> int | None:
    """Most positions of one process in a forward pass, as `fit_memory` has left the settings; None: no limit."""
    budget = settings.micro_batch_tokens
    if budget == "auto":
        raise ValueError("micro_batch_tokens is auto until fit_memory has decided it")
    return budget


def micro_batch_order(settings: TrainSettings, data: TrainingData, ranks: Ranks) -> MicroBatchOrder | None:
    """The micro-batches of this process, as `fit_memory` has left the settings.

    None: every forward pass has the same number of rows.
    """
    budget = token_budget(settings)
    rows = step_rows(settings, data)
    if settings.shares == "speed":
        limits = Limits(MOST_TOKENS if budget is None else budget, budget_rows(settings, 1))
        return BalancedOrder(rows, limits, ranks, equally_many=zero_stage(settings) > 1)
    return None if budget is None else BudgetedOrder(rows, Limits(budget, budget_rows(settings, ranks.world)), ranks)


def step_rows(settings: TrainSettings, data: TrainingData) -> StepRows:
    """The rows of the training, step by step."""
    return StepRows(data.order, data.pass_positions, settings.global_batch, data.together)
