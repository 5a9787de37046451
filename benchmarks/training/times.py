"""Compares the time of a training step with TRL's trainers: `python -m benchmarks.training.times [STEP ...]`.

The forward and backward passes of one optimizer step, in one process and in turns; what is the same for everyone (the
optimizer, loading) and what TRL does before training (reference log-probs) or before a step (padding rows) is left out.
Results go to `benchmarks/results/training_times.json`, those of other steps stay.
"""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, get_args

import torch
import transformers
import typer

from benchmarks.in_turns import time_in_turns
from benchmarks.machine import describe_machine
from benchmarks.training import packed_steps, trl_steps
from benchmarks.training.compared_steps import STEPS
from benchmarks.training.rows import SEQUENCES
from benchmarks.training.trl_steps import Peer

RESULTS = Path(__file__).parents[1] / "results" / "training_times.json"


def main(
    steps: Annotated[list[str] | None, typer.Argument(help=f"of {', '.join(STEPS)}; default: all")] = None,
    sequences: Annotated[int, typer.Option(help="rows of the step, the first ones of the benchmark")] = SEQUENCES,
    rounds: Annotated[int, typer.Option(help="rounds of ours, theirs, theirs, ours")] = 3,
    threads: Annotated[int, typer.Option(help="of torch")] = 1,
) -> None:
    """Time every step, print the table and write the results."""
    transformers.logging.set_verbosity_error()
    torch.set_num_threads(threads)
    found: dict[str, Any] = {}
    for name in steps or STEPS:
        measured = {"sequences": sequences, "rounds": rounds, "threads": threads} | _compare(name, sequences, rounds)
        before = json.loads(RESULTS.read_text())["steps"] if RESULTS.exists() else {}
        found = before | {name: measured}
        RESULTS.write_text(json.dumps({"machine": describe_machine(), "steps": found}, indent=2) + "\n")
    print(_table(found))


def _compare(name: str, sequences: int, rounds: int) -> dict[str, Any]:
    step = STEPS[name]
    rows = step.rows(sequences)
    ours, counts = packed_steps.repeatable(step.passes, rows), step.count(rows)
    found: dict[str, Any] = {}
    for peer in get_args(Peer):
        if peer == "sorted" and name == "sft":
            continue  # packed rows have no order of length
        flops = counts.flops / step.count_peer(rows, peer).flops
        with step.trainer(rows, peer) as trainer:
            took = time_in_turns(ours, trl_steps.repeatable(trainer), rounds)
        found[f"trl_{peer}"] = asdict(took) | {"flops_ratio": round(flops, 3)}
    return found


def _table(found: dict[str, Any]) -> str:
    lines = [
        "| step | beside TRL | processor, s: packed, TRL | processor ratio | wall ratio | ratio of operations |",
        "|---|---|---|---:|---:|---:|",
    ]
    for name, step in found.items():
        for peer, took in step.items():
            if isinstance(took, dict):
                seconds = f"{took['ours_processor_seconds']:.2f}, {took['theirs_processor_seconds']:.2f}"
                ratios = " | ".join(f"{took[f'{kind}_ratio']:.2f}" for kind in ("processor", "wall", "flops"))
                lines.append(f"| {name} | {peer.removeprefix('trl_')} | {seconds} | {ratios} |")
    return "\n".join(lines)


if __name__ == "__main__":
    typer.run(main)
