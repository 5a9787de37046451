"""How long training pauses for a checkpoint, and what reaches the store.

    python -m benchmarks.checkpoint

Trains a model of some 40 million random parameters with all its weights, with checkpoints and without, into a real S3
server (versitygw) on this machine.
"""

import json
import statistics
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

import components.train.train as step
from benchmarks.checkpoint.s3_server import S3Log, serve_s3
from benchmarks.machine import describe_machine
from components.shared.outputs.library import Library
from components.shared.outputs.manifest import Manifest
from components.shared.outputs.output import Output, RowWriter
from components.shared.rows import Message, Scores, SftRow
from components.shared.settings import Settings
from components.shared.store.open_store import open_store
from components.train.checkpoints.checkpoint import complete_steps, folder_key
from components.train.methods.sft import SftSettings

RESULT = Path("benchmarks/results/checkpoint.json")
STUDENT = Path("demo/student")
PROMPT = "Say this again, word for word: " + "the river runs past the old stone bridge. " * 2


class MadeUpRows(Settings):
    """Settings of the step whose output is made up here."""

    rows: int


def main(
    processes: Annotated[int, typer.Option(help="processes that train together, with a core each")] = 1,
    rows: Annotated[int, typer.Option(help="rows of 100 tokens in an optimizer step")] = 8,
    steps: Annotated[int, typer.Option(help="optimizer steps of each training")] = 32,
    every: Annotated[int, typer.Option(help="optimizer steps between checkpoints")] = 10,
    result: Annotated[Path, typer.Option(help="where the numbers go")] = RESULT,
) -> None:
    """Measure, print, and write the result file's entry for this number of processes."""
    with tempfile.TemporaryDirectory() as work, serve_s3(Path(work)) as log:
        student = make_student(Path(work, "student"))
        runs = {k: train(student, settings_of(processes, rows, k), steps, log) for k in (0, every)}
    found = json.loads(result.read_text()) if result.exists() else {}
    found["machine"] = describe_machine()
    found[f"{processes} processes"] = compare(runs[0], runs[every], every)
    result.parent.mkdir(parents=True, exist_ok=True)
    result.write_text(json.dumps(found, indent=1) + "\n")
    print(json.dumps(found, indent=1))


def make_student(folder: Path) -> Path:
    """The demo's student, larger and with random weights."""
    import shutil

    from transformers import AutoConfig, AutoModelForCausalLM

    shutil.copytree(STUDENT, folder)
    config = AutoConfig.from_pretrained(
        folder,
        hidden_size=512,
        intermediate_size=1408,
        num_hidden_layers=12,
        num_attention_heads=8,
        num_key_value_heads=8,
        head_dim=64,
        initializer_range=0.02,
    )
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    return folder


def settings_of(processes: int, rows: int, every: int) -> SftSettings:
    """A training of all weights with a checkpoint every so many steps."""
    return SftSettings.model_validate(
        {
            "precision": "fp32",
            "learning_rate": 1e-4,
            "epochs": 1,
            "global_batch": rows,
            "micro_batch": rows // processes,
            "max_length": 128,
            "gradient_checkpointing": False,
            "checkpoint_steps": every,
            "launch": {"processes_per_node": processes},
        }
    )


def train(student: Path, settings: SftSettings, steps: int, log: S3Log) -> dict[str, Any]:
    """One training; returns its steps' seconds, its counts, and what the store holds and was asked for."""
    root = f"{log.bucket}/every-{settings.checkpoint_steps}"
    selected = write_rows(root, settings.global_batch * steps)
    log.read()
    with kept_checkpoints():
        manifest = step.train_model(Library(root), "train-sft", settings, selected, str(student))
    requests = [request for request in log.read() if "/checkpoints/" in request.key]
    store = open_store(root).at(manifest.address)
    newest = max(complete_steps(store), default=0)
    files = list(store.list(f"{folder_key(newest)}/"))
    return {
        "seconds": [json.loads(line)["seconds"] for line in store.read("losses.jsonl").splitlines()],
        "counts": manifest.counts,
        "files": {entry.key.split("/", 2)[2]: entry.bytes for entry in files},
        "requests": requests,
    }


@contextmanager
def kept_checkpoints() -> Iterator[None]:
    """Keep the checkpoints after the training, so that they can be counted."""
    delete_checkpoints = step.delete_checkpoints
    step.delete_checkpoints = lambda store: None  # type: ignore[assignment]
    try:
        yield
    finally:
        step.delete_checkpoints = delete_checkpoints


def write_rows(root: str, rows: int) -> Manifest:
    """A select output with rows of one length."""
    output = Output(root, "select", 1, MadeUpRows(rows=rows), {})
    writer = RowWriter(output, "sft")
    for number in range(rows):
        prompt = (Message(role="user", content=f"{PROMPT}{number:06d}"),)
        writer.add(SftRow(id=str(number), prompt=prompt, completion="yes", origin="teacher", scores=Scores()))
    writer.close()
    return output.finish("select/1")


def compare(without: dict[str, Any], with_them: dict[str, Any], every: int) -> dict[str, Any]:
    """The numbers of a training with checkpoints beside one without."""
    counts = with_them["counts"]
    plain, busy = (statistics.median(run["seconds"][1:]) for run in (without, with_them))
    stall = counts["seconds_checkpoints"] / counts["checkpoints"]
    asked = Counter(request.operation for request in with_them["requests"])
    return {
        "parameters": counts["parameters"],
        "checkpoints": counts["checkpoints"],
        "steps_between_checkpoints": every,
        "step_seconds": round(plain, 4),
        "step_seconds_beside_uploads": round(busy, 4),
        "stall_seconds": round(stall, 4),
        "stall_percent_of_a_step": round(100 * stall / plain, 2),
        "stall_percent_of_the_interval": round(100 * stall / plain / every, 3),
        "mib_of_a_checkpoint": round(sum(with_them["files"].values()) / 2**20, 1),
        "files_of_a_checkpoint": len(with_them["files"]),
        "requests_of_all_checkpoints": dict(asked),
        "files": with_them["files"],
    }


if __name__ == "__main__":
    typer.run(main)
