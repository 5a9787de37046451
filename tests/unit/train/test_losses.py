"""A step's record, and a loss that is no number."""

import numpy as np
import pytest

from components.shared.errors import ModelError
from components.train.losses import StepBook, loss_counts, loss_records


def book() -> StepBook:
    made = StepBook("train-sft", np.arange(8), np.array([100, 120]), global_batch=4)
    made.begin(already=0, show=False)
    return made


def test_a_step_is_recorded() -> None:
    facts = book().record(2, {"loss": 1.5})
    assert (facts["rows"], facts["tokens"]) == (4, 120)
    assert facts["seconds"] >= 0


@pytest.mark.parametrize("loss", [float("nan"), float("inf")])
def test_a_loss_that_is_no_number_ends_the_training(loss: float) -> None:
    with pytest.raises(ModelError, match="the loss of step 2 is") as raised:
        book().record(2, {"loss": loss, "learning_rate": 0.5})
    assert "lower learning_rate (it was 0.5" in raised.value.remedy


def test_records_leave_out_what_is_no_step() -> None:
    step = {"step": 1, "loss": 2.0, "learning_rate": 0.1, "rows": 4, "tokens": 9, "seconds": 0.1, "kl": 0.5, "epoch": 1}
    records = loss_records([step, {"step": 1, "train_loss": 2.0}])
    assert records == [{k: v for k, v in step.items() if k != "epoch"}]
    assert loss_counts(records) == {"loss_first": 2.0, "loss_last": 2.0, "kl": 0.5}
