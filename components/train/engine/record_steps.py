"""What Tutelage adds to every trainer: the order of rows, the record of steps, and checkpoints in the background."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from components.shared.errors import ModelError
from components.shared.patch_libraries import before_optimizer_step, redirect_saves, separate_step_counts
from components.shared.store.store import Store
from components.train.checkpoints.mirror import Mirror
from components.train.engine.divergence import require_finite_gradients
from components.train.engine.earlier_epochs import EarlierEpochs
from components.train.engine.losses import StepBook
from components.train.engine.reference_output import ReferenceOutput
from components.train.engine.stream_losses import LossStream


class RowOrder:
    """A sampler: row numbers in a given order, 8 bytes each."""

    def __init__(self, order: np.ndarray) -> None:
        self._order = order

    def __iter__(self) -> Iterator[int]:
        return map(int, self._order)

    def __len__(self) -> int:
        return len(self._order)


class RecordedSteps:
    """A mixin that precedes trl's class. `book`, `earlier` and, in the first process, `stream` are set before use.

    So is `store`, at the training's address, for trainers that write rows of their own beside the model.
    """

    task: str
    reference: ReferenceOutput
    book: StepBook
    store: Store
    stream: LossStream | None = None
    mirror: Mirror
    earlier: EarlierEpochs | None = None
    args: Any
    state: Any
    model_wrapped: Any

    def _get_train_sampler(self, train_dataset: Any = None) -> Any:
        return RowOrder(self.book.order)

    def log(self, logs: dict[str, Any], start_time: float | None = None) -> None:
        """Add the step's record to its log. Raises DivergedError."""
        if "loss" in logs:
            logs.update(self.book.record(self.state.global_step, logs))
            require_finite_gradients(self.state.global_step, getattr(self.model_wrapped, "skipped_steps", 0))
        super().log(logs, start_time)  # type: ignore[misc]  # the trainer's class comes after this one
        if self.stream is not None:
            self.stream.follow(self.state.log_history)
        if "loss" in logs and self.earlier is not None:
            self.earlier.after_step(self)

    def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> Any:
        """transformers' own; where only measurement shows how many steps a budget allows, it follows the share spent.

        So the learning rate reaches its end when the training does, however long rollouts are.
        """
        scheduler = super().create_scheduler(num_training_steps, optimizer)  # type: ignore[misc]  # as above
        if self.book.measures_compute:
            scheduler.lr_lambdas = [_by_share(rate, self.book, num_training_steps) for rate in scheduler.lr_lambdas]
        return scheduler

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """Do nothing: a checkpoint holds DeepSpeed's shards, which include the weights."""

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        """Collect what the checkpoint holds, and let training continue while it is copied."""
        began, step = time.monotonic(), self.state.global_step
        super()._save_checkpoint(model, trial)  # type: ignore[misc]  # the trainer's class comes after this one
        self.mirror.add(step, Path(self.args.output_dir) / f"checkpoint-{step}")
        self.book.record_checkpoint(step, time.monotonic() - began)

    def create_model_card(self, *_: Any, **__: Any) -> None:
        """Do nothing: a model gets its card when it is published."""


def _by_share(rate: Callable[[float], float], book: StepBook, steps: int) -> Callable[[int], float]:
    """A schedule over `steps`, at the place among them that the compute so far is at."""
    return lambda step: rate(book.share_spent(step) * steps)


def recorded(base: type[Any], task: str, reference: ReferenceOutput) -> type[Any]:
    """The trainer's class with `RecordedSteps`.

    Args:
        base: the method's trainer.
        task: the step's name in the log.
        reference: where a method with a reference finds its log-probs.
    """
    return type(f"Recorded{base.__name__}", (RecordedSteps, base), {"task": task, "reference": reference})


def engine_watch(trainer: Any) -> Any:
    """A callback that refuses to train without a DeepSpeed engine."""
    from deepspeed import DeepSpeedEngine
    from transformers import TrainerCallback

    class EngineWatch(TrainerCallback):
        def on_train_begin(self, *_: Any, **__: Any) -> None:
            require_engine(trainer.model_wrapped, DeepSpeedEngine)

    return EngineWatch()


def require_engine(model: Any, engine: type[Any]) -> None:
    """Raises ModelError when the wrapped model is not a DeepSpeed engine: the ranks would train without ZeRO."""
    if not isinstance(model, engine):
        raise ModelError(
            f"the model was wrapped as {type(model).__name__}, not as DeepSpeedEngine",
            rule="training runs only on DeepSpeed",
            remedy="check that deepspeed is installed and that ACCELERATE_USE_DEEPSPEED and DS_ACCELERATOR are not set "
            "to something else in the environment",
        )


def background_checkpoints(trainer: Any, mirror: Mirror) -> Any:
    """A callback that redirects the engine's saving to snapshots for the mirror, and ends after the last step.

    The last step may be one of an earlier epoch than the schedule's. No checkpoint is made after it.
    """
    from transformers import TrainerCallback

    class BackgroundCheckpoints(TrainerCallback):
        def on_train_begin(self, *_: Any, **__: Any) -> None:
            trainer.mirror = mirror
            redirect_saves(trainer.model_wrapped, mirror.snapshot.add)
            # The step changes what a snapshot copies.
            before_optimizer_step(trainer.model_wrapped, lambda: trainer.book.record_wait(mirror.snapshot.settle()))

        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> Any:
            # The model itself is saved after the last step.
            if trainer.book.is_last(state.global_step):
                control.should_save = False
                control.should_training_stop = True
            return control

    return BackgroundCheckpoints()


def current_steps() -> Any:
    """A callback by which a resumed training saves its checkpoints as often as its settings say.

    `Trainer._init_training_state` replaces its state with the checkpoint's, `save_steps` included, and only warns where
    the arguments differ; `DefaultFlowCallback.on_step_end` follows the state.
    """
    from transformers import TrainerCallback

    class CurrentSteps(TrainerCallback):
        def on_train_begin(self, args: Any, state: Any, *_: Any, **__: Any) -> None:
            state.compute_steps(args, state.max_steps)

    return CurrentSteps()


def separate_counts(trainer: Any) -> Any:
    """A callback that corrects the step counts of an optimizer whose state came from a universal checkpoint."""
    from transformers import TrainerCallback

    class SeparateCounts(TrainerCallback):
        def on_train_begin(self, *_: Any, **__: Any) -> None:
            separate_step_counts(trainer.model_wrapped.optimizer.optimizer)

    return SeparateCounts()
