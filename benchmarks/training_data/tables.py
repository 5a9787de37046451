"""The tables of tokens alone: one process writes them; others map them, put rows into order and read batches."""

import os
import resource
import time
from array import array
from pathlib import Path

import numpy as np

from benchmarks.processes import memory_of
from components.models.forward.example import Example
from components.train.batches.examples import Examples
from components.train.batches.labelled_rows import stored_columns, with_labels
from components.train.batches.order import shuffled_epochs
from components.train.batches.split import Split
from components.train.batches.token_files import ROWS, SharedFiles
from components.train.batches.token_table import TableWriter
from components.train.methods.sft import IGNORED

WORDS = 150_000
BATCH = 32


def map_table(work: str, rows: int, tokens: int, rank: int, batches: int) -> dict[str, float]:
    """One process, which writes the table where it is missing.

    Args:
        work: a folder for the files.
        rows: of the table.
        tokens: of each row.
        rank: this process among those that train together.
        batches: batches that it reads after the first one.

    Returns:
        Processor seconds until its first batch, and its memory then, after the other batches and at its peak, in MiB.
    """
    before, began = memory_of(os.getpid()), time.process_time()
    files = SharedFiles(Path(work, "cache", "key"), Path(work, "scratch"), rank == 0, lambda: None, print)
    made = files.tokens(stored_columns, lambda kept: _random_rows(kept, rows, tokens))
    order = shuffled_epochs(made.columns["input_ids"].lengths, 3, 0, Split(1, 8, 4)).reshape(-1, BATCH)
    dataset = with_labels(made.columns.dataset(), IGNORED)
    _ = [dataset[int(row)] for row in order[rank]]
    seconds, first = time.process_time() - began, memory_of(os.getpid())
    for batch in order[rank + 1 : rank + 1 + batches]:
        _ = [dataset[int(row)] for row in batch]
    then = memory_of(os.getpid())
    found: dict[str, float] = {
        "processor_seconds": round(seconds, 1),
        "file_mib": (files.cache / ROWS).stat().st_size // 2**20,
        "before_mib": sum(before) // 1024,
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }
    for name, (private, mapped) in {"first_batch": first, "all_batches": then}.items():
        found |= {f"{name}_private_mib": (private - before[0]) // 1024, f"{name}_mapped_mib": mapped // 1024}
    return found


def _random_rows(kept: TableWriter[Example], rows: int, tokens: int) -> Examples[Example]:
    draw = np.random.default_rng(0)
    for _ in range(rows):
        ids = array("i", draw.integers(0, WORDS, tokens, np.int32).tobytes())
        kept.append(Example(ids[: tokens // 2], ids[tokens // 2 :]))
    return Examples(kept)
