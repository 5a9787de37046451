"""200 simulated studies for each of several designs: what the intervals cover, and how often a difference is invented.

    python -m benchmarks.study_simulation

It takes a minute or two of processor time, and writes benchmarks/results/study_simulation.json.
"""

import json
import os
from concurrent.futures import ProcessPoolExecutor
from itertools import repeat
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from benchmarks.machine import describe_machine
from benchmarks.study_simulation.integrate import coverage_range
from benchmarks.study_simulation.measure import ALPHA, Tally, measure
from benchmarks.study_simulation.simulate import Design

RESULT = Path("benchmarks/results/study_simulation.json")
DESIGNS = tuple(
    Design(seeds=seeds, questions=questions, luck=luck)
    for seeds in (3, 5)
    for questions in (200, 500)
    for luck in (0.0, 1.0, 2.0)
)
HEAD = (
    "seeds, questions, luck of a seed (points)",
    "arm",
    "to the base",
    "to the best single-stage arm",
    "… percentile bootstrap",
    "false positives in a family of 9",
    "… by the exact test alone",
    "5 points found, one test",
    "smallest difference at 80 %",
)


def main(
    studies: Annotated[int, typer.Option(help="simulated studies of each design")] = 200,
    seed: Annotated[int, typer.Option(help="seed of the simulation")] = 1,
    resamples: Annotated[int, typer.Option(help="resamples of the bootstrap, 0: without it")] = 400,
    result: Annotated[Path, typer.Option(help="where the numbers are written")] = RESULT,
) -> None:
    """Simulate, measure, print a table, and write the numbers."""
    rows = []
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        made = pool.map(measure, DESIGNS, repeat(studies), repeat(seed), repeat(resamples))
        for design, tally in zip(DESIGNS, made, strict=True):
            rows.append(describe(design, tally))
            print(as_row(rows[-1]), flush=True)
    normal = {str(seeds): coverage_range(seeds, ALPHA) for seeds in (2, 3, 4, 5)}
    document = {
        "machine": describe_machine(),
        "studies": studies,
        "seed": seed,
        "designs": rows,
        "coverage_of_normal_scores": normal,
    }
    result.write_text(json.dumps(document, indent=1) + "\n")
    print("\n".join([f"| {' | '.join(HEAD)} |", "|---" * len(HEAD) + "|", *map(as_row, rows)]))
    print("normal scores, lowest and highest coverage by seeds:", normal)


def describe(design: Design, tally: Tally) -> dict[str, Any]:
    """The measured shares of one design, in per cent."""
    kinds = [kind for kind in ("arm", "to base", "to best", "bootstrap") if kind in tally.held]
    return {
        "seeds": design.seeds,
        "questions": design.questions,
        "luck": design.luck,
        "coverage": {kind: round(tally.coverage(kind), 1) for kind in kinds},
        "false_positives": {kind: round(tally.rate(kind), 1) for kind in tally.false},
        "found": round(100 * float(np.mean(tally.found)), 1),
        "smallest_difference": round(float(np.median(tally.smallest)), 2),
    }


def as_row(row: dict[str, Any]) -> str:
    """One line of the table."""
    coverage, false = row["coverage"], row["false_positives"]
    cells = [
        f"{row['seeds']}, {row['questions']}, {row['luck']:g}",
        *(f"{coverage[kind]:.1f}" if kind in coverage else "" for kind in ("arm", "to base", "to best", "bootstrap")),
        f"{false['family']:.1f}",
        f"{false['exact alone']:.1f}",
        f"{row['found']:.0f}",
        f"{row['smallest_difference']:.1f}",
    ]
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    typer.run(main)
