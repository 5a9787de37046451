"""A step's record, a loss that is not finite, and the file in the store."""

import json
import time
from pathlib import Path

import numpy as np
import pytest

from components.shared.store.folder import FolderStore
from components.train.engine.divergence import DivergedError
from components.train.engine.losses import LOSSES_FILE, StepBook, as_lines, loss_counts, loss_records
from components.train.engine.stream_losses import LossStream
from tests.deadlines import SECONDS


def book() -> StepBook:
    made = StepBook("train-sft", np.arange(8), np.array([100, 120]), global_batch=4)
    made.begin(already=0, show=False)
    return made


def test_a_step_is_recorded() -> None:
    facts = book().record(2, {"loss": 1.5})
    assert (facts["rows"], facts["tokens"]) == (4, 120)
    assert facts["seconds"] >= 0 and facts["tokens_per_second"] > 0


def test_a_step_on_fewer_nodes_is_recorded_as_such() -> None:
    without = StepBook("train-sft", np.arange(8), np.array([100, 120]), global_batch=4, left_out=1)
    steps = [{"step": 1, "loss": 2.0, "learning_rate": 0.1}, {"step": 2, "loss": 1.0, "learning_rate": 0.1}]
    log = [step | made.record(int(step["step"]), step) for step, made in zip(steps, (book(), without), strict=True)]
    assert [record.get("nodes_left_out") for record in loss_records(log, {})] == [None, 1]


@pytest.mark.parametrize("loss", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_ends_the_training(loss: float) -> None:
    with pytest.raises(DivergedError, match="the loss of step 2 is") as raised:
        book().record(2, {"loss": loss, "learning_rate": 0.5})
    assert "lower learning_rate (it was 0.5" in raised.value.remedy


def test_only_entries_of_steps_are_recorded() -> None:
    taken = {"rows": 4, "tokens": 9, "seconds": 0.1, "tokens_per_second": 90.0}
    step = {"step": 1, "loss": 2.0, "learning_rate": 0.1, **taken, "kl": 0.5, "epoch": 1}
    metrics = {"kl": "kl"}
    records = loss_records([step, {"step": 1, "train_loss": 2.0}], metrics)
    assert records == [{k: v for k, v in step.items() if k != "epoch"}]
    assert loss_counts([], metrics) == {}, "the first step may diverge"
    assert loss_counts(records, metrics) == {"loss_first": 2.0, "loss_last": 2.0, "kl": 0.5}


def log_of(steps: int) -> list[dict[str, float]]:
    """A trainer's log of so many steps."""
    facts = {"learning_rate": 0.1, "rows": 4, "tokens": 9, "seconds": 0.1, "tokens_per_second": 90.0}
    return [{"step": step, "loss": 1.0 / step, "kl": 0.5, **facts} for step in range(1, steps + 1)]


def wait_for_steps(store: FolderStore, steps: int) -> None:
    """Wait until the file in the store has so many steps."""
    deadline = time.monotonic() + SECONDS
    while not store.exists(LOSSES_FILE) or len(store.read(LOSSES_FILE).splitlines()) < steps:
        assert time.monotonic() < deadline, "the file did not grow"
        time.sleep(0.01)
    assert [json.loads(line)["step"] for line in store.read(LOSSES_FILE).splitlines()] == list(range(1, steps + 1))


def test_losses_are_in_the_store_while_training_goes_on(tmp_path: Path) -> None:
    """After a restart the trainer's log begins with the steps before it."""
    store = FolderStore(tmp_path)
    stream = LossStream(store, "train-sft", {"kl": "kl"}, pause_seconds=0.01)
    log = log_of(3)
    stream.follow(log)
    wait_for_steps(store, 3)
    log.extend(log_of(5)[3:])
    wait_for_steps(store, 5)
    log.append({"step": 5, "train_loss": 2.0})
    stream.close()
    assert store.read(LOSSES_FILE) == as_lines(loss_records(log, {"kl": "kl"}))


def test_training_continues_while_the_store_is_away(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = FolderStore(tmp_path / "store")
    (tmp_path / "store").write_text("a file, where the store's folder should be")
    stream = LossStream(store, "train-sft", {}, pause_seconds=60.0)
    stream.follow(log_of(2))
    stream.close()
    assert "[train-sft] losses.jsonl in the store is behind" in capsys.readouterr().err
