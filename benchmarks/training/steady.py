"""How steady the memory of micro-batches is, with an equal number of rows in each and under a budget of positions.

`python -m benchmarks.training.steady` divides the same optimizer steps of SFT both ways, on one process and rows of
log-normal lengths, and runs every micro-batch forward and backward: torch's allocator is counted as in `peak.py`.
Results go to `benchmarks/results/training_steady.json`.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers

from benchmarks.machine import describe_machine
from benchmarks.training.peak import peak_of
from benchmarks.training.rows import make_model, make_rows
from components.models.forward.check_packed import packed_model
from components.models.forward.example import Example
from components.models.forward.pack import pack
from components.models.forward.packed_model import PackedModel
from components.train.batches.budgeted_order import Limits, StepRows
from components.train.batches.order import dealt
from components.train.batches.split import Split

RESULTS = Path(__file__).parents[1] / "results" / "training_steady.json"
STEPS, GLOBAL_BATCH = 4, 64
ROWS = 8
"""Of a micro-batch without a budget."""
BUDGET = 2048
"""Positions: about as many as ROWS rows have on average, so that both ways make about as many passes."""


def by_rows(positions: np.ndarray) -> list[list[int]]:
    """Micro-batches of an equal number of rows, as a training without a budget divides its steps."""
    split = Split(1, ROWS, GLOBAL_BATCH // ROWS)
    order = dealt(np.arange(len(positions)), positions, split, GLOBAL_BATCH)
    divided: list[list[int]] = order.reshape(-1, ROWS).tolist()
    return divided


def by_budget(positions: np.ndarray) -> list[list[int]]:
    """Micro-batches of the same steps under the budget, which alone limits them."""
    rows, limits = StepRows(np.arange(len(positions)), positions, GLOBAL_BATCH), Limits(BUDGET, GLOBAL_BATCH)
    return [batch for step in range(rows.steps) for batch in rows.micro_batches(step, limits, ranks=1)[0]]


def peaks(packed: PackedModel, model: Any, rows: Sequence[Example], batches: Sequence[Sequence[int]]) -> list[int]:
    """Peak bytes of every micro-batch's forward and backward pass, beside weights and gradients."""

    def run(batch: Sequence[int]) -> None:
        made = pack([rows[number] for number in batch])
        packed.summed_loss(made, packed.hidden(made)).backward()

    run(batches[0])  # From here on the gradients are there.
    held = sum(2 * parameter.nbytes for parameter in model.parameters())
    return [peak_of(lambda batch=batch: run(batch), model) - held for batch in batches]


def measure() -> dict[str, dict[str, float]]:
    """Positions and peaks of micro-batches, by the way in which steps are divided."""
    rows = [row.example() for row in make_rows(shared=False, sequences=STEPS * GLOBAL_BATCH)]
    positions = np.array([len(row) - 1 for row in rows])
    model = make_model()
    packed = packed_model(model)
    return {
        name: _spread(positions, batches, peaks(packed, model, rows, batches))
        for name, batches in {"rows": by_rows(positions), "budget": by_budget(positions)}.items()
    }


def _spread(positions: np.ndarray, batches: Sequence[Sequence[int]], found: Sequence[int]) -> dict[str, float]:
    sizes = np.array([positions[list(batch)].sum() for batch in batches])
    return {
        "passes": len(batches),
        "positions_least": int(sizes.min()),
        "positions_mean": round(float(sizes.mean()), 1),
        "positions_deviation": round(float(sizes.std()), 1),
        "positions_most": int(sizes.max()),
        "peak_bytes_mean": round(float(np.mean(found))),
        "peak_bytes_most": max(found),
    }


def main() -> None:
    """Measure, print the table and write the results."""
    transformers.logging.set_verbosity_error()
    torch.manual_seed(0)
    found = measure()
    what = {"rows": ROWS, "budget": BUDGET, "global_batch": GLOBAL_BATCH, "steps": STEPS}
    RESULTS.write_text(json.dumps({"machine": describe_machine(), **what, "found": found}, indent=2) + "\n")
    print(_table(found))


def _table(found: dict[str, dict[str, float]]) -> str:
    lines = [
        "| micro-batches of | passes | positions: least, mean ± deviation, most | peak, MiB: mean, most |",
        "|---|---:|---|---|",
    ]
    for name, each in zip((f"{ROWS} rows", f"{BUDGET:,} positions"), found.values(), strict=True):
        sizes = f"{each['positions_mean']:,.0f} ± {each['positions_deviation']:,.0f}"
        memory = ", ".join(f"{each[f'peak_bytes_{which}'] / 2**20:,.0f}" for which in ("mean", "most"))
        least, most = each["positions_least"], each["positions_most"]
        lines.append(f"| {name} | {each['passes']} | {least:,}, {sizes}, {most:,} | {memory} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
