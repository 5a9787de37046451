"""A device that slows while stages train is recorded and told, with a checkpoint from which layers are cut again."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.distributed
from torch.multiprocessing.spawn import start_processes

from components.train.balance.stage_drift import StageDrift
from components.train.engine.losses import StepBook, drift_records
from components.train.methods.registry import parse_train_settings
from components.train.stages.calibrate import STATE_FILE, newest_record
from components.train.stages.make_stage_trainer import make_stage_trainer
from components.train.stages.pack_steps import PackedSteps
from components.train.stages.stage_trainer import StageTrainer
from tests.conftest import free_port
from tests.unit.train.stages.test_stage_trainer import COMMON, ROWS, Run, Unstored, Unwaited, made_rows, save_model

STEPS, WINDOW, PASSES = 7, 2, 4
SLOW_AFTER, SLOWER = 2, 3.0
"""Steps after which a rank's passes take so many times as long."""


class CountingClock:
    """A clock by which each pass takes a second, on a rank that slows more after some steps."""

    slows = False

    def __init__(self) -> None:
        self._passes, self._seconds = 0, 0.0

    @contextmanager
    def running(self) -> Iterator[None]:
        """Count a pass."""
        yield
        self._passes += 1
        self._seconds += SLOWER if self.slows and self._passes > SLOW_AFTER * PASSES else 1.0

    def take(self) -> float:
        """The seconds since the last call."""
        found, self._seconds = self._seconds, 0.0
        return found


def train_while_one_slows(rank: int, run: Run, slows: int) -> None:
    """One of two processes; the first one writes what came out."""
    torch.set_num_threads(1)
    places = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": 2, "MASTER_PORT": run.port}
    os.environ |= {name: str(value) for name, value in places.items()} | {"MASTER_ADDR": "127.0.0.1"}
    torch.distributed.init_process_group("gloo")
    assert run.settings.stages is not None
    rows, positions = made_rows("sft")
    order = np.tile(np.arange(ROWS), STEPS)
    trainer = make_stage_trainer(
        run.settings,
        run.settings.stages,
        run.objective,
        rows,
        PackedSteps(order, positions, ROWS, PASSES),
        start=run.folder,
        name="student",
        reference=Unstored(),  # type: ignore[arg-type]
        folder=run.folder / "run",
        task="train",
    )
    saved: list[int] = []
    pytest.MonkeyPatch().setattr(StageTrainer, "_save_checkpoint", lambda _, step: saved.append(step))
    trainer.book = StepBook("train", order, np.zeros(STEPS), ROWS)
    trainer.mirror = Unwaited()  # type: ignore[assignment]
    CountingClock.slows = rank == slows
    trainer.train()
    found = {"log_history": trainer.state.log_history, "saved": saved, "counts": trainer.counts}
    (run.folder / f"found-{rank}.json").write_text(json.dumps(found))
    torch.distributed.destroy_process_group()


@pytest.fixture(autouse=True)
def brief(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("measure_layers", "measure_links"):
        monkeypatch.setattr(f"components.train.stages.{module}.SECONDS", 0.05)
    monkeypatch.setattr("components.train.stages.watch_drift.WINDOW", WINDOW)
    monkeypatch.setattr("components.train.stages.watch_drift.PassClock", CountingClock)


def trained(folder: Path, slows: int, **values: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """What both processes have recorded."""
    save_model(folder, tied=True)
    given = {"method": "sft", **COMMON, "checkpoint_steps": 100, "launch": {"processes_per_node": 2}, **values}
    run = Run(folder, parse_train_settings(given), free_port())
    start_processes(train_while_one_slows, (run, slows), nprocs=2, start_method="fork")  # type: ignore[no-untyped-call]
    one, other = (json.loads((folder / f"found-{rank}.json").read_text()) for rank in range(2))
    return one, other


def test_a_rank_that_slows_is_recorded_once_with_a_checkpoint(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    one, other = trained(tmp_path, slows=1, stages={})
    assert drift_records(one["log_history"]) == drift_records(other["log_history"])
    (record,) = drift_records(one["log_history"])
    found = StageDrift.model_validate(record)
    assert (found.step, found.slowest) == (4, 1)
    assert (found.before, found.now) == ((PASSES, PASSES), (PASSES, SLOWER * PASSES))
    assert one["saved"] == other["saved"] == [4], "a checkpoint at once, so that nothing is lost by starting again"
    assert one["counts"]["stage_drifts"] == 1
    log = capfd.readouterr().err
    assert log.count("the layers of the stages no longer fit: at step 4 the passes of rank 1 take ") == 1
    assert "Cancel the run and start it again: it continues from the newest checkpoint, and measures costs again" in log


def test_a_checkpoint_after_a_drift_is_continued_with_other_stages(tmp_path: Path) -> None:
    one, _ = trained(tmp_path, slows=0, stages={})
    history = one["log_history"]
    (tmp_path / STATE_FILE).write_text(json.dumps({"log_history": history}))
    assert newest_record(tmp_path) == "drifted"
    earlier = [entry for entry in history if "stage_drift" not in entry]
    (tmp_path / STATE_FILE).write_text(json.dumps({"log_history": earlier}))
    assert newest_record(tmp_path) not in {"drifted", None}


@pytest.mark.parametrize(
    ("values", "remedy"),
    [
        ({"stages": {"layers": [3, 3]}}, "stages.layers lists them: change it, or leave it out"),
        ({"stages": {}, "checkpoint_steps": 0}, "With checkpoint_steps, a run that is cancelled and started again"),
    ],
)
def test_the_log_has_the_remedy(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], values: dict[str, Any], remedy: str
) -> None:
    one, _ = trained(tmp_path, slows=1, **values)
    assert remedy in capfd.readouterr().err
    assert one["saved"] == ([4] if values.get("checkpoint_steps", 100) else [])


def test_stages_whose_devices_stay_as_they_are_do_not_drift(tmp_path: Path) -> None:
    one, _ = trained(tmp_path, slows=-1, stages={})
    assert drift_records(one["log_history"]) == [] and "stage_drifts" not in one["counts"]
