"""Which checkpoints a training may continue from when models of earlier epochs are to be handed over, and which are."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from components.launch.hand_back.files import JobResult
from components.shared.store.folder import FolderStore
from components.train.checkpoints.checkpoint import complete_steps, folder_key, part_key
from components.train.engine.divergence import DivergedError
from components.train.engine.earlier_epochs import EarlierEpochs, drop_later_checkpoints
from components.train.engine.epoch_steps import EpochSteps
from components.train.job_file import TrainingJob
from components.train.methods.registry import parse_train_settings

STEPS = EpochSteps(scheduled=90, last=90, handed_over={20: 2, 40: 4})


@pytest.fixture
def job(tmp_path: Path) -> TrainingJob:
    """A training with checkpoints at steps 15, 30 and 45, which is to hand epochs 2 and 4 over."""
    settings = parse_train_settings({"method": "sft", "precision": "fp32", "epochs": 9, "hand_over_epochs": [2, 4]})
    earlier = {2: "train/two", 4: "train/four"}
    made = TrainingJob(
        root=str(tmp_path), address="train/it", task="train-it", settings=settings, dataset="select/x", start="student",
        earlier=earlier,
    )  # fmt: skip
    for step in (15, 30, 45):
        made.store.write(f"{folder_key(step)}/state.pt", b"state")
        made.store.write(part_key(step, 0, 1), b"{}")
    return TrainingJob.model_validate_json(made.model_dump_json())


def steps_left(job: TrainingJob) -> list[int]:
    return complete_steps(FolderStore(Path(job.root, job.address)))


@pytest.mark.parametrize(
    ("there", "left"),
    [
        ({}, [15]),
        ({2: "result.json"}, [30, 15]),
        ({4: "result.json"}, [15]),
        ({2: "manifest.json", 4: "result.json"}, [45, 30, 15]),
    ],
)
def test_no_checkpoint_after_a_missing_model_is_used(job: TrainingJob, there: dict[int, str], left: list[int]) -> None:
    for epoch, name in there.items():
        job.store_of(epoch).write(name, b"{}")
    drop_later_checkpoints(job, STEPS)
    assert steps_left(job) == left


def test_the_result_is_beside_the_model_once_its_epoch_has_ended(job: TrainingJob, tmp_path: Path) -> None:
    class Writer:
        """Saves a file in place of a model."""

        def __init__(self) -> None:
            self.job = job

        def save(self, _trainer: Any, address: str, folder: Path, seconds: dict[str, float]) -> JobResult:
            store = FolderStore(Path(job.root, address))
            assert not store.exists("result.json"), "the files come first"
            folder.mkdir(parents=True)
            store.write("model/weights", b"weights")
            return JobResult(counts={"seconds_train": seconds["train"]})

    restarted: list[int] = []
    earlier = EarlierEpochs(STEPS, Writer(), tmp_path / "scratch", lambda: {"train": 3.0})  # type: ignore[arg-type]
    for step in (19, 20, 21):
        trainer = SimpleNamespace(
            state=SimpleNamespace(global_step=step),
            book=SimpleNamespace(restart_clock=lambda step=step: restarted.append(step)),
        )
        earlier.after_step(trainer)
    two = job.store_of(2)
    assert JobResult.model_validate_json(two.read("result.json")).counts == {"seconds_train": 3.0}
    assert two.read("model/weights") == b"weights" and not job.store_of(4).exists("result.json")
    assert restarted == [20] and list((tmp_path / "scratch").iterdir()) == []


def test_divergence_is_handed_over_for_the_epochs_that_were_not_reached(job: TrainingJob, tmp_path: Path) -> None:
    class Writer:
        """Counts in place of what is left of a training."""

        def __init__(self) -> None:
            self.job = job

        def save_diverged(self, trainer: Any, _address: str, folder: Path, *_: Any) -> JobResult:
            folder.mkdir(parents=True)
            return JobResult(counts={"diverged_step": trainer.state.global_step})

    earlier = EarlierEpochs(STEPS, Writer(), tmp_path / "scratch", dict)  # type: ignore[arg-type]
    trainer = SimpleNamespace(state=SimpleNamespace(global_step=21))
    earlier.after_divergence(trainer, DivergedError("the loss of step 21 is nan"))
    assert not job.store_of(2).exists("result.json"), "its model was handed over at step 20"
    result = JobResult.model_validate_json(job.store_of(4).read("result.json"))
    assert result.counts == {"diverged_step": 21} and list((tmp_path / "scratch").iterdir()) == []
