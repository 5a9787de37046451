"""The model that a job divides into stages, as it is before any layer is loaded."""

# ruff: noqa: TID253 - imported by the job's own program only

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from components.train.settings import TrainSettings
from components.train.stages.load_stage import dtype_of
from components.train.stages.parts import find_parts


@dataclass(frozen=True)
class StagedModel:
    """What its stages are chosen by.

    Attributes:
        start: the folder of the model that training starts from.
        name: how a person names it.
        settings: of the training.
        count: of its layers.
        width: numbers of a position's state.
        length: positions of every micro-batch.
        task: the step's name in the log.
    """

    start: Path
    name: str
    settings: TrainSettings
    count: int
    width: int
    length: int
    task: str

    @classmethod
    def of_outline(
        cls, outline: Any, start: Path, name: str, settings: TrainSettings, *, length: int, task: str
    ) -> "StagedModel":
        """That of a model without weights, with adapters or not. Raises ModelError: its layers cannot be found."""
        base = getattr(outline, "get_base_model", lambda: outline)()
        width = base.config.get_text_config().hidden_size
        return cls(start, name, settings, find_parts(base).count, width, length, task)

    @property
    def dtype(self) -> torch.dtype:
        """Of its states."""
        return dtype_of(self.settings)
