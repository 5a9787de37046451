"""What the rows of a training cost: memory of a machine beside the model, and the time until the first step.

    python -m benchmarks.training_data trainings --rows 20000 --ranks 2
    python -m benchmarks.training_data tables --rows 500000 --ranks 2

trainings: starts a training by SFT, KTO or DPO of the demo's student (torchrun, DeepSpeed) on rows of random letters,
one token a letter, waits for its first step and ends it: with few rows, which shows what everything but the rows takes,
with all of them, and with all of them again on the same machine.

tables: the same for random token ids and for the tables alone, without a tokenizer, a model or a training, so that many
rows take a minute: a process writes the table of SFT, and others map it, put the rows into order, and read batches.

Memory is PSS, in which what several processes share is counted once: private memory, and files that are mapped, which
the kernel takes back when it needs the memory.
"""

import json
import multiprocessing
import os
import random
import resource
import signal
import subprocess
import sys
import tempfile
import time
from array import array
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from benchmarks.machine import describe_machine
from components.shared.outputs.library import Library
from components.shared.outputs.manifest import Manifest
from components.shared.outputs.output import Output, RowWriter
from components.shared.rows import KtoRow, Message, Pair, Scores, SftRow
from components.shared.settings import Settings
from components.shared.step import Product

RESULT = Path("benchmarks/results/training_data.json")
FEW = 64
PAUSE_SECONDS = 0.2
STEP = """
import json, sys
from components.shared.outputs.library import Library
from components.shared.outputs.manifest import Manifest
from components.train.methods.registry import parse_train_settings
from components.train.train import train_model
root, settings, dataset = json.loads(sys.argv[1])
dataset = Manifest.model_validate(dataset)
train_model(Library(root), "train", parse_train_settings(settings), dataset, "package:demo/student")
"""


class MadeUpRows(Settings):
    """Settings of the step whose output is made up here."""

    rows: int
    tokens: int


@dataclass(frozen=True)
class Start:
    """A training until its first step: seconds, and the most memory of all its processes together, in MiB."""

    seconds: float
    private_mib: int
    mapped_mib: int


app = typer.Typer(add_completion=False)
Rows = Annotated[int, typer.Option(help="rows")]
Tokens = Annotated[int, typer.Option(help="tokens of each row, prompt and responses")]
Processes = Annotated[int, typer.Option(help="processes that train together")]
Result = Annotated[Path, typer.Option(help="where the numbers go")]


@app.command()
def trainings(
    rows: Rows = 20_000,
    tokens: Tokens = 300,
    ranks: Processes = 1,
    method: Annotated[str, typer.Option(help="sft, kto or dpo")] = "sft",
    result: Result = RESULT,
) -> None:
    """Start trainings."""
    with tempfile.TemporaryDirectory() as work:
        few, many = (write_rows(f"{work}/{count}", count, tokens) for count in (FEW, rows))
        starts = {
            "few rows": start(few, method, ranks, f"{work}/cache"),
            "first start": start(many, method, ranks, f"{work}/cache"),
            "second start": start(many, method, ranks, f"{work}/cache"),
        }
    entry = f"{method}, {rows} rows of {tokens} tokens, ranks {ranks}"
    record(result, entry, {name: asdict(measured) for name, measured in starts.items()})


@app.command()
def tables(
    rows: Rows = 500_000, tokens: Tokens = 300, ranks: Processes = 1, batches: int = 1000, result: Result = RESULT
) -> None:
    """Write and map tables; `batches` of 32 rows are read by each process after the first one."""
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as work, context.Pool(ranks, maxtasksperchild=1) as pool:
        writing = pool.apply(map_table, (work, rows, tokens, 0, 0))
        reading = pool.starmap(map_table, [(work, rows, tokens, rank, batches) for rank in range(ranks)], chunksize=1)
    record(result, f"tables, {rows} rows of {tokens} tokens, ranks {ranks}", {"writing": writing, "mapping": reading})


def map_table(work: str, rows: int, tokens: int, rank: int, batches: int) -> dict[str, float]:
    """One process: seconds until its first batch, and its memory then and after more batches, in MiB."""
    from components.models.forward.example import Example
    from components.train.batches.examples import Examples
    from components.train.batches.labelled_rows import stored_columns
    from components.train.batches.order import shuffled_epochs
    from components.train.batches.split import Split
    from components.train.batches.token_files import SharedFiles
    from components.train.batches.token_table import TableWriter

    def build(kept: TableWriter[Example]) -> Examples[Example]:
        draw = np.random.default_rng(0)
        for _ in range(rows):
            ids = array("i", draw.integers(0, 150_000, tokens, np.int32).tobytes())
            kept.append(Example(ids[: tokens // 2], ids[tokens // 2 :]))
        return Examples(kept)

    before, began = memory_of(os.getpid()), time.monotonic()
    files = SharedFiles(Path(work, "cache", "key"), Path(work, "scratch"), rank == 0, lambda: None, print)
    made = files.tokens(stored_columns, build)
    order = shuffled_epochs(made.columns["input_ids"].lengths, 3, 0, Split(1, 8, 4)).reshape(-1, 32)
    dataset = made.columns.dataset()
    _ = [dataset[int(row)] for row in order[rank]]
    seconds, first = time.monotonic() - began, memory_of(os.getpid())
    for batch in order[rank + 1 : rank + 1 + batches]:
        _ = [dataset[int(row)] for row in batch]
    then = memory_of(os.getpid())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    found = {"seconds": round(seconds, 1), "peak_mib": peak, "before_mib": sum(before) // 1024}
    for name, (private, mapped) in {"first_batch": first, "all_batches": then}.items():
        found |= {f"{name}_private_mib": (private - before[0]) // 1024, f"{name}_mapped_mib": mapped // 1024}
    return found


def record(result: Path, entry: str, measured: dict[str, Any]) -> None:
    """Print what was measured, and write the result file's entry."""
    found = json.loads(result.read_text()) if result.exists() else {}
    found |= {"machine": describe_machine(), entry: measured}
    result.parent.mkdir(parents=True, exist_ok=True)
    result.write_text(json.dumps(found, indent=1) + "\n")
    print(json.dumps(measured, indent=1))


def write_rows(root: str, count: int, tokens: int) -> tuple[str, Manifest]:
    """Make up the select step's output: a store's root, and the manifest."""
    output = Output(Library(root), Product("select", 1, "selection/1"), MadeUpRows(rows=count, tokens=tokens), {})
    writers = {part: RowWriter(output, part) for part in ("sft", "kto", "pairs")}
    draw = random.Random(0)
    for number in range(count):
        for part, row in rows_of(number, draw, tokens).items():
            writers[part].add(row)
    for writer in writers.values():
        writer.close()
    return root, output.finish()


def rows_of(number: int, draw: random.Random, tokens: int) -> dict[str, Any]:
    """A row for each method."""

    def text(share: float) -> str:
        return "".join(draw.choices("abcdefghijklmnopqrstuvwxyz", k=int(tokens * share)))

    prompt = (Message(role="user", content=text(0.4)),)
    common: dict[str, Any] = {"id": str(number), "prompt": prompt}
    one = {**common, "completion": text(0.6), "origin": "teacher", "scores": Scores()}
    origins = {"chosen_origin": "teacher", "rejected_origin": "student"}
    scores = {"chosen_scores": Scores(total=1.0), "rejected_scores": Scores(), "margin": 1.0}
    return {
        "sft": SftRow(**one),
        "kto": KtoRow(**one, label=number % 2 == 0),
        "pairs": Pair(**common, chosen=text(0.3), rejected=text(0.3), **origins, **scores),
    }


def start(given: tuple[str, Manifest], method: str, ranks: int, cache: str) -> Start:
    """Train until the first step, and end the training."""
    root, dataset = given
    for path in Path(root).glob("train/*/losses.jsonl"):
        path.unlink()
    settings = {
        "method": method,
        "precision": "fp32",
        "epochs": 1,
        "global_batch": 32,
        "checkpoint_steps": 0,
        "gradient_checkpointing": False,
        "launch": {"processes_per_node": ranks},
    }
    arguments = [sys.executable, "-c", STEP, json.dumps([root, settings, dataset.model_dump(mode="json")])]
    environment = {**os.environ, "TUTELAGE_CACHE": cache, "OMP_NUM_THREADS": "1"}
    began = time.monotonic()
    private = mapped = 0
    with subprocess.Popen(arguments, env=environment, start_new_session=True) as running:
        try:
            while not any(Path(root).glob("train/*/losses.jsonl")):
                if running.poll() is not None:
                    raise SystemExit("the training ended before its first step")
                now = memory_of(running.pid)
                private, mapped = max(private, now[0]), max(mapped, now[1])
                time.sleep(PAUSE_SECONDS)
            seconds = time.monotonic() - began
        finally:
            for process in family_of(running.pid):
                os.kill(process, signal.SIGKILL)
    return Start(round(seconds, 1), private // 1024, mapped // 1024)


def family_of(first: int) -> list[int]:
    """A process and all that it has started, and what those have started."""
    parents: dict[int, int] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(path.parent.name)] = int(path.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
    family = [first]
    for process in family:
        family += [child for child, parent in parents.items() if parent == process]
    return family


def memory_of(first: int) -> tuple[int, int]:
    """Private and mapped memory of a process and its family, in KiB; what several share is counted once."""
    private = mapped = 0
    for process in family_of(first):
        try:
            lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()[1:]
        except OSError:
            continue
        parts = {name: int(value.split()[0]) for name, value in (line.split(":") for line in lines)}
        private, mapped = private + parts["Pss_Anon"], mapped + parts["Pss_File"]
    return private, mapped


if __name__ == "__main__":
    app()
