"""What every trainer does beside training: our order of rows, our record of steps, our checkpoints."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from components.shared.errors import ModelError
from components.train.losses import StepBook
from components.train.mirror import Mirror


class RecordedSteps:
    """Mixed into a trainer before trl's class. `book` is set before training begins."""

    task: str
    book: StepBook
    mirror: Mirror
    args: Any
    state: Any

    def _get_train_sampler(self, train_dataset: Any = None) -> Any:
        return [int(row) for row in self.book.order]

    def log(self, logs: dict[str, Any], start_time: float | None = None) -> None:
        """Add the step's facts to its log."""
        if "loss" in logs:
            logs.update(self.book.record(self.state.global_step, logs))
        super().log(logs, start_time)  # type: ignore[misc]  # the trainer's class comes after this one

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """A checkpoint holds DeepSpeed's shards, weights among them: a second copy would only cost time."""

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        """Say what a checkpoint holds, and let training go on while it is copied."""
        began, step = time.monotonic(), self.state.global_step
        super()._save_checkpoint(model, trial)  # type: ignore[misc]  # the trainer's class comes after this one
        self.mirror.add(step, Path(self.args.output_dir) / f"checkpoint-{step}")
        self.book.record_checkpoint(step, time.monotonic() - began)

    def create_model_card(self, *_: Any, **__: Any) -> None:
        """Models get their card when they are published."""


def recorded(base: type[Any], task: str) -> type[Any]:
    """The trainer's class with our record of steps; `task` names it in the log."""
    return type(f"Recorded{base.__name__}", (RecordedSteps, base), {"task": task})


def engine_watch(trainer: Any) -> Any:
    """A callback that refuses to train without a DeepSpeed engine."""
    from deepspeed import DeepSpeedEngine
    from transformers import TrainerCallback

    class EngineWatch(TrainerCallback):
        def on_train_begin(self, *_: Any, **__: Any) -> None:
            require_engine(trainer.model_wrapped, DeepSpeedEngine)

    return EngineWatch()


def require_engine(model: Any, engine: type[Any]) -> None:
    """Raises ModelError when the wrapped model is no DeepSpeed engine: the ranks would train without ZeRO."""
    if not isinstance(model, engine):
        raise ModelError(
            f"the model was wrapped as {type(model).__name__}, not as DeepSpeedEngine",
            rule="training runs on DeepSpeed, or not at all",
            remedy="check that deepspeed is installed and that ACCELERATE_USE_DEEPSPEED and DS_ACCELERATOR are not set "
            "to something else in the environment",
        )


def background_checkpoints(trainer: Any, mirror: Mirror) -> Any:
    """A callback that turns the engine's saving into snapshots for the mirror, and the last step's off."""
    from transformers import TrainerCallback

    class BackgroundCheckpoints(TrainerCallback):
        def on_train_begin(self, *_: Any, **__: Any) -> None:
            trainer.mirror, engine = mirror, trainer.model_wrapped
            engine.checkpoint_engine.save = mirror.snapshot.add
            engine.optimizer.step = _settled_first(engine.optimizer.step, mirror, trainer.book)

        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> Any:
            # The model itself is saved after the last step.
            if state.global_step >= trainer.book.steps:
                control.should_save = False
            return control

    return BackgroundCheckpoints()


def _settled_first(step: Callable[..., Any], mirror: Mirror, book: StepBook) -> Callable[..., Any]:
    """The optimizer's step, which changes what a snapshot copies, after that copy is made."""

    def settle_and_step(*given: Any, **named: Any) -> Any:
        book.record_wait(mirror.snapshot.settle())
        return step(*given, **named)

    return settle_and_step


def mend_optimizer(trainer: Any) -> Any:
    """A callback that gives each optimizer state a step count of its own, on its parameter's device where it must be.

    DeepSpeed 0.19 loads a universal checkpoint with one count on the CPU; under ZeRO-3 all groups share that tensor,
    and each of them adds one to it at every step.
    """
    from torch import is_tensor
    from transformers import TrainerCallback

    class MendOptimizer(TrainerCallback):
        def on_train_begin(self, *_: Any, **__: Any) -> None:
            optimizer = trainer.model_wrapped.optimizer.optimizer
            on_device = any(group.get("fused") or group.get("capturable") for group in optimizer.param_groups)
            for parameter, state in optimizer.state.items():
                if is_tensor(count := state.get("step")):
                    state["step"] = count.clone().to(parameter.device if on_device else "cpu")

    return MendOptimizer()
