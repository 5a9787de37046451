"""One optimizer step of TRL's trainers over the rows, counted: as they come, and as well configured as they can be."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

from benchmarks.training.counting import Counts, counting
from benchmarks.training.rows import SEQUENCES, TextRow, make_model
from demo.make_tokenizer import make_tokenizer

MICRO_BATCH = 8
"""TRL's default `per_device_train_batch_size`."""


Peer = Literal["default", "options", "sorted"]
"""TRL as it comes; with every option that saves work; and with rows of similar length put together by hand as well."""


def sft_step(rows: list[TextRow], peer: Peer) -> Counts:
    """Options: packed by best fit, which TRL does without padding."""
    from trl import SFTConfig, SFTTrainer

    data = [{"prompt": row.prompt, "completion": row.completion} for row in rows]
    return _step(SFTTrainer, SFTConfig, data, {"packing": peer != "default"})


def kto_step(rows: list[TextRow], peer: Peer) -> Counts:
    """Options: reference log-probs computed once before."""
    from trl import KTOConfig, KTOTrainer

    data = [{"prompt": row.prompt, "completion": row.completion, "label": row.desirable} for row in rows]
    return _step(KTOTrainer, KTOConfig, _ordered(data, peer), _reference(peer))


def dpo_step(rows: list[TextRow], peer: Peer) -> Counts:
    """Options: as of KTO. A pair is two sequences."""
    from trl import DPOConfig, DPOTrainer

    pairs = zip(rows[::2], rows[1::2], strict=True)
    data = [{"prompt": one.prompt, "chosen": one.completion, "rejected": other.completion} for one, other in pairs]
    return _step(DPOTrainer, DPOConfig, _ordered(data, peer), _reference(peer))


def _reference(peer: Peer) -> dict[str, Any]:
    order = {"train_sampling_strategy": "sequential"} if peer == "sorted" else {}
    return {"precompute_ref_log_probs": peer != "default"} | order


def _ordered(data: list[dict[str, Any]], peer: Peer) -> list[dict[str, Any]]:
    if peer != "sorted":
        return data
    return sorted(data, key=lambda row: sum(len(text) for text in row.values() if isinstance(text, str)))


def _step(trainer_type: Any, config_type: Any, data: list[dict[str, Any]], options: dict[str, Any]) -> Counts:
    """One optimizer step over all rows. Gradient checkpointing, TRL's default, is off for everyone."""
    from datasets import Dataset

    with TemporaryDirectory() as folder:
        # The trainers load the reference from where the model came from.
        make_model().save_pretrained(folder)
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
        trainer = trainer_type(
            model=folder, args=arguments, train_dataset=Dataset.from_list(data), processing_class=make_tokenizer()
        )
        return _count(trainer)


def _count(trainer: Any) -> Counts:
    """Counts of the forward and backward passes; what happens before training is left out."""
    total = Counts()
    step = trainer.training_step
    models = [model for model in (trainer.model, getattr(trainer, "ref_model", None)) if model is not None]

    def counted(*given: Any, **named: Any) -> Any:
        with counting(*models) as counts:
            loss = step(*given, **named)
        total.flops += counts.flops
        total.positions += counts.positions
        total.passes += counts.passes
        return loss

    trainer.training_step = counted
    trainer.train()
    return total
