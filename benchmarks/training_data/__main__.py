"""What the rows of a training cost: memory of a machine beside the model, and the time until the first step.

    python -m benchmarks.training_data start --rows 500000 --ranks 1 --ranks 2
    python -m benchmarks.training_data tables --rows 500000 --ranks 2

start: starts a training by SFT, KTO or DPO of the demo's student (torchrun, DeepSpeed) on rows of random letters, one
token a letter, waits for its first optimizer step and ends it: with few rows, which shows what everything but the rows
takes, with all of them, and with all of them again on the same machine, where they are tokenized already.

tables: the same for random token ids and for the tables alone, without a tokenizer, a model or a training, so that many
rows take a minute: a process writes the table of SFT, and others map it, put the rows into order, and read batches.

Memory is PSS, in which what several processes share is counted once: private memory, and files that are mapped, which
the kernel takes back when it needs the memory. Processor time is user and system time of all processes together.
"""

import json
import multiprocessing
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import typer

from benchmarks.machine import describe_machine
from benchmarks.training_data.made_up_rows import write_rows
from benchmarks.training_data.start import time_start
from components.shared.outputs.manifest import Manifest

RESULT = Path("benchmarks/results/training_data.json")
FEW = 64

app = typer.Typer(add_completion=False)
RowCount = Annotated[int, typer.Option(help="rows")]
Tokens = Annotated[int, typer.Option(help="tokens of each row, prompt and responses")]
Result = Annotated[Path, typer.Option(help="where the numbers go")]


@dataclass(frozen=True)
class Rows:
    """Rows in a store of their own, beside a cache of their tokens."""

    folder: str
    method: str
    dataset: Manifest

    @classmethod
    def write(cls, folder: str, method: str, count: int, tokens: int) -> "Rows":
        """Make up rows, unless they are there."""
        return cls(folder, method, write_rows(folder, method, count, tokens))

    @property
    def are_tokenized(self) -> bool:
        """Whether a training has tokenized them on this machine."""
        return any(Path(self.folder, "cache", "tokens").glob("*/tally.json"))

    def start(self, ranks: int) -> dict[str, float]:
        """What a start takes."""
        return asdict(time_start(self.folder, self.dataset, self.method, ranks, f"{self.folder}/cache"))


@app.command()
def start(  # noqa: PLR0917 - options of the command line
    rows: RowCount = 500_000,
    tokens: Tokens = 300,
    ranks: Annotated[
        list[int] | None, typer.Option(help="processes that train together; repeat it; default: 1")
    ] = None,
    method: Annotated[str, typer.Option(help="sft, kto or dpo")] = "sft",
    work: Annotated[str, typer.Option(help="a folder whose rows and tokens are kept for the next call")] = "",
    result: Result = RESULT,
) -> None:
    """Start trainings until their first step."""
    with nullcontext(work) if work else TemporaryDirectory() as folder:
        few, many = (Rows.write(f"{folder}/{count}", method, count, tokens) for count in (FEW, rows))
        for number in ranks or [1]:
            starts = {"few rows": few, "first start": many, "second start": many}
            if many.are_tokenized:
                del starts["first start"]
            for name, started in starts.items():
                entry = f"{method}, {rows} rows of {tokens} tokens, ranks {number}"
                record(result, entry, {name: started.start(number)})


@app.command()
def tables(
    rows: RowCount = 500_000,
    tokens: Tokens = 300,
    ranks: Annotated[int, typer.Option(help="processes that map the table")] = 1,
    batches: Annotated[int, typer.Option(help="batches of 32 rows that each of them reads after the first one")] = 1000,
    result: Result = RESULT,
) -> None:
    """Write a table of tokens and map it."""
    from benchmarks.training_data.tables import map_table

    context = multiprocessing.get_context("spawn")
    with TemporaryDirectory() as work, context.Pool(ranks, maxtasksperchild=1) as pool:
        writing = pool.apply(map_table, (work, rows, tokens, 0, 0))
        reading = pool.starmap(map_table, [(work, rows, tokens, rank, batches) for rank in range(ranks)], chunksize=1)
    record(result, f"tables, {rows} rows of {tokens} tokens, ranks {ranks}", {"writing": writing, "mapping": reading})


def record(result: Path, entry: str, measured: dict[str, Any]) -> None:
    """Print what was measured, and write the result file's entry."""
    found = json.loads(result.read_text()) if result.exists() else {}
    found |= {"machine": describe_machine(), entry: found.get(entry, {}) | measured}
    result.parent.mkdir(parents=True, exist_ok=True)
    result.write_text(json.dumps(found, indent=1) + "\n")
    print(json.dumps({entry: measured}, indent=1))


if __name__ == "__main__":
    app()
