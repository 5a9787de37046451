"""Compares what a training step costs with TRL's trainers, by counts: `python -m benchmarks.training [STEP …]`.

Counts do not depend on the machine. Everyone trains the same model on the same rows in the same run; results go to
`benchmarks/results/training.json`, those of other steps stay.
"""

import json
import sys
from pathlib import Path
from typing import Any, get_args

import torch
import transformers

from benchmarks.machine import describe_machine
from benchmarks.training.compared_steps import STEPS, ComparedStep
from benchmarks.training.counting import Counts
from benchmarks.training.rows import TextRow
from benchmarks.training.trl_steps import Peer

RESULTS = Path(__file__).parents[1] / "results" / "training.json"


def main() -> None:
    """Count every step, print the table and write the results."""
    transformers.logging.set_verbosity_error()
    torch.manual_seed(0)
    before = json.loads(RESULTS.read_text())["steps"] if RESULTS.exists() else {}
    counted = {name: _compare(STEPS[name]) for name in sys.argv[1:] or STEPS}
    found = {name: counted.get(name) or before[name] for name in STEPS if name in counted or name in before}
    RESULTS.write_text(json.dumps({"machine": describe_machine(), "steps": found}, indent=2) + "\n")
    print(_table(found))


def _compare(step: ComparedStep) -> dict[str, Any]:
    rows = step.rows()
    counts = {"packed": step.count(rows)} | {f"trl_{peer}": step.count_peer(rows, peer) for peer in get_args(Peer)}
    return {"tokens": _tokens(rows)} | {
        name: vars(each) | _ratios(counts["packed"], each) for name, each in counts.items()
    }


def _tokens(rows: list[TextRow]) -> int:
    return sum(len(row.example()) for row in rows)


def _ratios(ours: Counts, peer: Counts) -> dict[str, float]:
    return {"packed_flops_to_these": round(ours.flops / peer.flops, 3)}


def _table(found: dict[str, Any]) -> str:
    lines = [
        "| step | GFLOP: packed; TRL, with options, with rows sorted | ratio to each | positions per token |",
        "|---|---|---|---|",
    ]
    for name, step in found.items():
        sides = [side for side in step.values() if isinstance(side, dict)]
        flops = ", ".join(f"{side['flops'] / 1e9:,.0f}" for side in sides)
        ratios = ", ".join(f"{side['packed_flops_to_these']:.2f}" for side in sides[1:])
        positions = ", ".join(f"{side['positions'] / step['tokens']:.2f}" for side in sides)
        lines.append(f"| {name} | {flops} | {ratios} | {positions} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
