"""Compares likelihood scoring with padded batches and lm-evaluation-harness: `python -m benchmarks.scoring [KIND ...]`.

Everyone scores the same token ids with the same tiny Llama (benchmarks/training/rows.py) in one process and in turns,
and must find the same sums of log-probs. Results go to `benchmarks/results/scoring.json`.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import torch
import transformers
import typer

from benchmarks.in_turns import time_in_turns
from benchmarks.machine import describe_machine
from benchmarks.scoring.peers import Score, harness, padded
from benchmarks.scoring.rows import KINDS
from benchmarks.training.counting import counting
from benchmarks.training.rows import make_model
from components.models.forward.example import Example
from components.models.likelihood.likelihood import RowLikelihood

RESULTS = Path(__file__).parents[1] / "results" / "scoring.json"
TOLERANCE = 2e-3
"""Largest difference of a row's sum of log-probs, in nats: sums of hundreds of fp32 numbers around -9."""


def main(
    kinds: Annotated[list[str] | None, typer.Argument(help=f"of {', '.join(KINDS)}; default: all")] = None,
    rounds: Annotated[int, typer.Option(help="rounds of ours, theirs, theirs, ours")] = 3,
) -> None:
    """Score every kind of rows, print the table and write the results."""
    transformers.logging.set_verbosity_error()
    torch.set_num_threads(1)
    found = json.loads(RESULTS.read_text())["kinds"] if RESULTS.exists() else {}
    for kind in kinds or KINDS:
        found[kind] = compare(KINDS[kind].rows(), rounds)
        RESULTS.write_text(json.dumps({"machine": describe_machine(), "kinds": found}, indent=2) + "\n")
    print(_table(found))


def compare(rows: Sequence[Example], rounds: int) -> dict[str, Any]:
    """Positions and times of everyone. Raises AssertionError when they find different sums."""
    model, other = make_model().eval(), make_model().eval()
    likelihood = RowLikelihood(model)
    peers = {"padded": padded(other, sort=False), "sorted": padded(other, sort=True), "harness": harness(other)}
    ours, positions = _scored(model, likelihood.totals, rows)
    found: dict[str, Any] = {"rows": len(rows), "tokens": sum(map(len, rows)), "positions": positions}
    for name, score in peers.items():
        theirs, positions = _scored(other, score, rows)
        difference = max(abs(one - two) for one, two in zip(ours, theirs, strict=True))
        assert difference < TOLERANCE, f"{name} differs by {difference} nats"
        took = time_in_turns(lambda: likelihood.totals(rows), lambda score=score: score(rows), rounds)
        found[name] = {"positions": positions} | asdict(took)
    likelihood.close()
    return found


def _scored(model: Any, score: Score, rows: Sequence[Example]) -> tuple[list[float], int]:
    with counting(model, shapes_only=False) as counts:
        totals = score(rows)
    return totals, counts.positions


def _table(found: dict[str, Any]) -> str:
    lines = [
        "| rows | beside | positions: ours, theirs | processor, s: ours, theirs | processor ratio | wall ratio |",
        "|---|---|---|---|---:|---:|",
    ]
    for kind, sides in found.items():
        for name, side in sides.items():
            if isinstance(side, dict):
                positions = f"{sides['positions']:,}, {side['positions']:,}"
                seconds = f"{side['ours_processor_seconds']:.2f}, {side['theirs_processor_seconds']:.2f}"
                ratios = f"{side['processor_ratio']:.2f} | {side['wall_ratio']:.2f}"
                lines.append(f"| {kind} | {name} | {positions} | {seconds} | {ratios} |")
    return "\n".join(lines)


if __name__ == "__main__":
    typer.run(main)
