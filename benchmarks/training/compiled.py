"""Measures what torch.compile gains on packed batches on a CPU: `python -m benchmarks.training.compiled`.

The decoder's layers are compiled for any length; attention over segments is left out of the graph, since its lengths
are Python numbers that differ in every batch, each of which would be compiled again. Needs a C++ compiler. Results go
to `benchmarks/results/training_compiled.json`.
"""

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import torch
import torch._dynamo
import transformers
import typer

from benchmarks.in_turns import time_in_turns
from benchmarks.machine import describe_machine
from benchmarks.processes import processor_seconds_of
from benchmarks.training.packed_steps import sft_passes
from benchmarks.training.rows import make_model, make_rows
from components.models.forward import attention
from components.models.forward.check_packed import packed_model

RESULTS = Path(__file__).parents[1] / "results" / "training_compiled.json"
TOLERANCE = 1e-4
"""Of gradients, relative to the largest one."""


def main(
    sequences: Annotated[int, typer.Option(help="rows of a step, the first ones of the benchmark")] = 16,
    rounds: Annotated[int, typer.Option(help="rounds of compiled, eager, eager, compiled")] = 3,
) -> None:
    """Compile, compare, time in turns and write the results."""
    transformers.logging.set_verbosity_error()
    torch.set_num_threads(1)
    examples = [row.example() for row in make_rows(shared=False)[:sequences]]
    plain, compiled = make_model(), make_model()
    eager = packed_model(plain)
    sft_passes(eager, examples)
    with attention_left_out():
        quick = packed_model(compiled)
        before, began = processor_seconds_of(os.getpid()), time.perf_counter()
        for layer in compiled.model.layers:
            layer.compile(dynamic=True)
        # Two lengths, so that what is compiled for any length is.
        for rows in (examples, examples[:-1]):
            compiled.zero_grad()
            sft_passes(quick, rows)
        first = {
            "first_steps_processor_seconds": round(processor_seconds_of(os.getpid()) - before, 1),
            "first_steps_wall_seconds": round(time.perf_counter() - began, 1),
        }
        compiled.zero_grad()
        sft_passes(quick, examples)
        _require_equal(plain, compiled)
        took = time_in_turns(lambda: sft_passes(quick, examples), lambda: sft_passes(eager, examples), rounds)
    found = {"machine": describe_machine(), "sequences": sequences, "rounds": rounds} | first | asdict(took)
    RESULTS.write_text(json.dumps(found, indent=2) + "\n")
    print(json.dumps(found, indent=2))


@contextmanager
def attention_left_out() -> Iterator[None]:
    """Register packed attention as a function that is not compiled."""
    from transformers import AttentionInterface

    AttentionInterface.register(attention.PACKED, torch.compiler.disable(attention.packed_attention))
    own, attention.packed_attention = attention.packed_attention, torch.compiler.disable(attention.packed_attention)
    try:
        yield
    finally:
        attention.packed_attention = own
        AttentionInterface.register(attention.PACKED, own)


def _require_equal(one: Any, other: Any) -> None:
    for mine, theirs in zip(one.parameters(), other.parameters(), strict=True):
        difference = (mine.grad - theirs.grad).abs().max() / mine.grad.abs().max()
        assert difference < TOLERANCE, f"gradients differ by {difference}"


if __name__ == "__main__":
    typer.run(main)
