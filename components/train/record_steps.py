"""What every trainer does beside training: our order of rows, our record of steps, our checkpoints."""

from pathlib import Path
from typing import Any

from components.shared.errors import ModelError
from components.shared.log import say
from components.train.checkpoint import Mirror
from components.train.losses import StepBook
from components.train.ranks import Ranks, barrier


class RecordedSteps:
    """Mixed into a trainer before trl's class. `book` is set before training begins."""

    task: str
    book: StepBook
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


def checkpoint_callback(trainer: Any, mirror: Mirror, ranks: Ranks) -> Any:
    """A callback that hands each checkpoint to the mirror once all ranks have written theirs."""
    from transformers import TrainerCallback

    class MirrorCheckpoints(TrainerCallback):
        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> Any:
            # The model itself is saved after the last step.
            if state.global_step >= trainer.book.steps:
                control.should_save = False
            return control

        def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            barrier()
            if ranks.is_local_main:
                step = state.global_step
                mirror.add(step, Path(args.output_dir) / f"checkpoint-{step}")
                say(trainer.book.task, f"checkpoint at step {step}") if ranks.is_main else None

    return MirrorCheckpoints()
