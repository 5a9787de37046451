"""The models of earlier epochs that a training hands over, each at the address of the training that ends there.

The model of an epoch is in the store, with its result beside it, before the training writes a checkpoint of that step
or a later one. So a training that continues from a checkpoint has handed over every epoch up to it; where one is
missing, such as after a change of `hand_over_epochs`, the checkpoints from its last step on are not used.
"""

import random
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from components.launch.hand_back.files import RESULT_FILE, JobResult
from components.launch.hand_back.report import write_result
from components.shared.log import say
from components.shared.outputs.manifest import MANIFEST
from components.train.checkpoints.checkpoint import delete_newer
from components.train.engine.divergence import DivergedError
from components.train.engine.epoch_steps import EpochSteps
from components.train.engine.save_result import ResultWriter
from components.train.job_file import TrainingJob


class EarlierEpochs:
    """Hands over the models of earlier epochs while the training goes on. Every process has one.

    Args:
        steps: of the training.
        writer: saves a result.
        scratch: a folder of this machine for the files.
        seconds: returns the seconds of each phase so far, by name.
    """

    def __init__(
        self, steps: EpochSteps, writer: ResultWriter, scratch: Path, seconds: Callable[[], dict[str, float]]
    ) -> None:
        self._steps, self._writer, self._scratch, self._seconds = steps, writer, scratch, seconds

    def after_step(self, trainer: Any) -> None:
        """Save the model if this step was the last of an epoch that is handed over."""
        epoch = self._steps.handed_over.get(trainer.state.global_step)
        if epoch is None:
            return
        job, folder = self._writer.job, self._folder(epoch)
        with _random_states_kept():
            result = self._writer.save(trainer, job.earlier[epoch], folder, self._seconds())
        if result is not None:
            self._hand_over(epoch, result)
            say(job.task, f"the model of epoch {epoch} is at {job.earlier[epoch]}")
        trainer.book.restart_clock()

    def after_divergence(self, trainer: Any, error: DivergedError) -> None:
        """Save what is left for the epochs that the training did not reach: theirs would diverge at the same step."""
        job, reached = self._writer.job, trainer.state.global_step
        for epoch in [epoch for step, epoch in self._steps.handed_over.items() if step >= reached]:
            folder, address = self._folder(epoch), job.earlier[epoch]
            result = self._writer.save_diverged(trainer, address, folder, self._seconds(), error)
            if result is not None:
                self._hand_over(epoch, result)

    def _folder(self, epoch: int) -> Path:
        return self._scratch / f"epoch-{epoch}"

    def _hand_over(self, epoch: int, result: JobResult) -> None:
        write_result(self._writer.job.place_of(epoch), result)
        shutil.rmtree(self._folder(epoch))


def drop_later_checkpoints(job: TrainingJob, steps: EpochSteps) -> None:
    """Delete the checkpoints from the end of the first epoch on whose model is to be handed over and is not there."""
    missing = [step for step, epoch in steps.handed_over.items() if not _is_there(job, epoch)]
    if missing:
        delete_newer(job.store, min(missing) - 1)


def _is_there(job: TrainingJob, epoch: int) -> bool:
    store = job.store_of(epoch)
    return store.exists(RESULT_FILE) or store.exists(MANIFEST)


@contextmanager
def _random_states_kept() -> Iterator[None]:
    """Saving draws numbers (peft initialises the adapters that it then loads); dropout must not depend on it."""
    import numpy as np
    import torch

    python, numpy = random.getstate(), np.random.get_state()
    try:
        with torch.random.fork_rng():
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)
