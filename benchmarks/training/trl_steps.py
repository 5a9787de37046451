"""One optimizer step of TRL's trainers over the rows, as they come and as well configured as they can be.

It is counted, or to be repeated.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import torch

from benchmarks.training.counting import Counts, counting
from benchmarks.training.rows import SEQUENCES, WORDS, TextRow, make_model
from demo.make_tokenizer import make_tokenizer

MICRO_BATCH = 8
"""TRL's default `per_device_train_batch_size`."""


Peer = Literal["default", "options", "sorted"]
"""TRL as it comes; with every option that saves work; and with rows of similar length put together by hand as well."""

MakeTrainer = Callable[[list[TextRow], Peer], AbstractContextManager[Any]]
"""A trainer for one optimizer step over rows."""


@contextmanager
def sft_trainer(rows: list[TextRow], peer: Peer, vocabulary: int = WORDS) -> Iterator[Any]:
    """A trainer for one optimizer step. Options: packed by best fit, which TRL does without padding."""
    from trl import SFTConfig, SFTTrainer

    data = [{"prompt": row.prompt, "completion": row.completion} for row in rows]
    with _trainer(SFTTrainer, SFTConfig, data, {"packing": peer != "default"}, vocabulary) as trainer:
        yield trainer


@contextmanager
def kto_trainer(rows: list[TextRow], peer: Peer, vocabulary: int = WORDS) -> Iterator[Any]:
    """A trainer for one optimizer step. Options: reference log-probs computed once before."""
    from trl import KTOConfig, KTOTrainer

    data = [{"prompt": row.prompt, "completion": row.completion, "label": row.desirable} for row in rows]
    with _trainer(KTOTrainer, KTOConfig, _ordered(data, peer), _reference(peer), vocabulary) as trainer:
        yield trainer


@contextmanager
def dpo_trainer(rows: list[TextRow], peer: Peer, vocabulary: int = WORDS) -> Iterator[Any]:
    """A trainer for one optimizer step. Options: as of KTO. A pair is two sequences."""
    from trl import DPOConfig, DPOTrainer

    pairs = zip(rows[::2], rows[1::2], strict=True)
    data = [{"prompt": one.prompt, "chosen": one.completion, "rejected": other.completion} for one, other in pairs]
    with _trainer(DPOTrainer, DPOConfig, _ordered(data, peer), _reference(peer), vocabulary) as trainer:
        yield trainer


def _reference(peer: Peer) -> dict[str, Any]:
    order = {"train_sampling_strategy": "sequential"} if peer == "sorted" else {}
    return {"precompute_ref_log_probs": peer != "default"} | order


def _ordered(data: list[dict[str, Any]], peer: Peer) -> list[dict[str, Any]]:
    if peer != "sorted":
        return data
    return sorted(data, key=lambda row: sum(len(text) for text in row.values() if isinstance(text, str)))


@contextmanager
def _trainer(
    trainer_type: Any, config_type: Any, data: list[dict[str, Any]], options: dict[str, Any], vocabulary: int
) -> Iterator[Any]:
    """A trainer for one optimizer step over all rows. Gradient checkpointing, TRL's default, is off for everyone."""
    from datasets import Dataset

    with TemporaryDirectory() as folder:
        # The trainers load the reference from where the model came from.
        make_model(vocabulary).save_pretrained(folder)
        arguments = config_type(
            output_dir=str(Path(folder)),
            use_cpu=True,
            bf16=False,
            report_to=[],
            save_strategy="no",
            disable_tqdm=True,
            gradient_checkpointing=False,
            per_device_train_batch_size=MICRO_BATCH,
            gradient_accumulation_steps=SEQUENCES,
            num_train_epochs=1,
            **options,
        )
        yield trainer_type(
            model=folder, args=arguments, train_dataset=Dataset.from_list(data), processing_class=make_tokenizer()
        )


def counted(trainer: Any) -> Counts:
    """Counts of the forward and backward passes; what happens before training is left out."""
    total = Counts()
    step = trainer.training_step
    models = [model for model in (trainer.model, getattr(trainer, "ref_model", None)) if model is not None]

    def count(*given: Any, **named: Any) -> Any:
        with counting(*models) as counts:
            loss = step(*given, **named)
        total.flops += counts.flops
        total.positions += counts.positions
        total.passes += counts.passes
        return loss

    trainer.training_step = count
    trainer.train()
    return total


def repeatable(trainer: Any) -> Callable[[], None]:
    """A function that makes the step's forward and backward passes each time that it is called."""
    step = trainer.training_step
    micro_batches: list[tuple[Any, ...]] = []

    def keep(_: Any, inputs: Any, *others: Any) -> torch.Tensor:
        micro_batches.append((inputs, *others))
        return torch.zeros(())

    trainer.training_step = keep
    trainer.train()

    def repeat() -> None:
        trainer.model.zero_grad()
        for inputs, *others in micro_batches:
            # A trainer may change what it is given.
            step(trainer.model, dict(inputs), *others)

    return repeat
