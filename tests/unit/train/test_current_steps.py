"""How often a resumed training saves its checkpoints, by transformers' own trainer."""

from pathlib import Path
from typing import Any

import torch
from transformers import Trainer, TrainingArguments

from components.train.engine.record_steps import current_steps


class Line(torch.nn.Module):
    """A model of one weight."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(1))

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"loss": (self.weight * x).square().mean()}


def train(folder: Path, save_steps: int, steps: int, resume: Path | None = None) -> list[int]:
    """The steps of the checkpoints that are there after a training."""
    arguments = TrainingArguments(
        output_dir=str(folder),
        max_steps=steps,
        per_device_train_batch_size=1,
        save_steps=save_steps,
        logging_steps=1,
        use_cpu=True,
        report_to="none",
        disable_tqdm=True,
    )
    rows: Any = [{"x": torch.tensor([float(number)])} for number in range(8)]
    trainer = Trainer(model=Line(), args=arguments, train_dataset=rows, callbacks=[current_steps()])
    trainer.train(resume_from_checkpoint=str(resume) if resume else None)
    return sorted(int(path.name.rpartition("-")[2]) for path in folder.glob("checkpoint-*"))


def test_a_resumed_training_saves_as_often_as_its_settings_say_now(tmp_path: Path) -> None:
    assert train(tmp_path, save_steps=3, steps=4) == [3, 4], "transformers saves after the last step too"
    assert train(tmp_path, save_steps=2, steps=8, resume=tmp_path / "checkpoint-3") == [3, 4, 6, 8]
