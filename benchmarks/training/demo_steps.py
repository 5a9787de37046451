"""Processor seconds of optimizer steps of the demo's training, on packed rows and on padded ones.

    python -m benchmarks.training.demo_steps [METHOD …]

The demo's student and settings, its short instructions as rows, one process without DeepSpeed, whose share is the same
for both. Prints for each method the processor seconds of 30 steps, the minimum of three runs of each kind.
"""

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, PrinterCallback, TrainingArguments

from components.shared.rows import KtoRow, Message, Pair, Scores, SftRow
from components.train.batches.build_dataset import Template
from components.train.batches.split import split_batch
from components.train.engine.packed_trainer import PackedTrainer
from components.train.methods.registry import METHODS, method_of, parse_train_settings

DEMO = Path(__file__).parents[2] / "demo"
STEPS, RUNS, GLOBAL_BATCH, MICRO_BATCH = 30, 3, 16, 8
OTHER = "I do not know."
SCORES = {"chosen_scores": Scores(), "rejected_scores": Scores(), "margin": 0.0}
ORIGINS = {"chosen_origin": "teacher", "rejected_origin": "student"}


def main(names: list[str]) -> None:
    """Measure and print a line for each method."""
    torch.set_num_threads(1)
    for name in names or METHODS:
        packed, padded = (min(seconds_of(name, packed=kind) for _ in range(RUNS)) for kind in (True, False))
        print(f"{name:8}packed {packed:6.2f} s  padded {padded:6.2f} s  ratio {packed / padded:.2f}", flush=True)


def seconds_of(name: str, *, packed: bool) -> float:
    """Processor seconds of the steps, without what is computed once before them."""
    with TemporaryDirectory() as folder:
        trainer = make(name, folder, packed=packed)
        trainer.remove_callback(PrinterCallback)
        began = time.process_time()
        trainer.train()
        return time.process_time() - began


def make(name: str, folder: str, *, packed: bool) -> Any:
    """The trainer of a method, its rows in the order of the data set."""
    from datasets import Dataset

    own: dict[str, Any] = {"kto": {"kl_batch": MICRO_BATCH}} if name == "kto" else {}
    settings = parse_train_settings(
        {"method": name, "global_batch": GLOBAL_BATCH, "micro_batch": MICRO_BATCH, "max_length": 256} | own
    )
    method, tokenizer = method_of(settings), AutoTokenizer.from_pretrained(DEMO / "student")
    data = method.prepare(ROWS[method.part](), Template(tokenizer), settings, split_batch(settings, ranks=1))
    rows = Dataset.from_dict(data.columns).select(data.order[: STEPS * GLOBAL_BATCH])
    common = arguments(folder)
    given = {
        "model": AutoModelForCausalLM.from_pretrained(DEMO / "student"),
        "train_dataset": rows,
        "processing_class": tokenizer,
    }
    if not packed:
        kind = type("Padded", (method.trainer_type(settings),), {"task": "padded"})
        return kind(args=method.arguments(common, settings, data), **given)
    trainer = type("Packed", (PackedTrainer,), {"task": "packed"})(
        args=TrainingArguments(**common, remove_unused_columns=False),
        objective=method.objective(settings, data),
        **given,
    )
    trainer.begin_packing()
    trainer.add_reference()
    return trainer


def arguments(folder: str) -> dict[str, Any]:
    """What both kinds of trainer share."""
    return {
        "output_dir": folder,
        "use_cpu": True,
        "bf16": False,
        "report_to": "none",
        "save_strategy": "no",
        "disable_tqdm": True,
        "logging_steps": 1,
        "gradient_checkpointing": False,
        "train_sampling_strategy": "sequential",
        "per_device_train_batch_size": MICRO_BATCH,
        "gradient_accumulation_steps": GLOBAL_BATCH // MICRO_BATCH,
        "max_steps": STEPS,
    }


def instructions() -> Iterator[tuple[str, tuple[Message, ...], str]]:
    """An id, the prompt and the response of each of the demo's short instructions."""
    for number, line in enumerate((DEMO / "instructions" / "alpaca.jsonl").read_text().splitlines()):
        row = json.loads(line)
        if row["output"].strip() and number < STEPS * GLOBAL_BATCH:
            text = f"{row['instruction']} {row['input']}".strip()
            yield str(number), (Message(role="user", content=text),), row["output"]


def sft_rows() -> Iterator[SftRow]:
    """Demonstrations."""
    for number, prompt, answer in instructions():
        yield SftRow(id=number, prompt=prompt, completion=answer, origin="teacher", scores=Scores())


def kto_rows() -> Iterator[KtoRow]:
    """Every other response is undesirable."""
    for number, prompt, answer in instructions():
        good = int(number) % 2 == 0
        text = answer if good else OTHER
        yield KtoRow(id=number, prompt=prompt, completion=text, label=good, origin="teacher", scores=Scores())


def pairs() -> Iterator[Pair]:
    """The response, and one that fits no instruction."""
    for number, prompt, answer in instructions():
        yield Pair(id=number, prompt=prompt, chosen=answer, rejected=OTHER, **ORIGINS, **SCORES)


ROWS: dict[str, Any] = {"sft": sft_rows, "kto": kto_rows, "pairs": pairs}


if __name__ == "__main__":
    main(sys.argv[1:])
