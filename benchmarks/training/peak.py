"""Compares the peak memory of KTO's forward and backward passes with TRL's at a vocabulary of 64k words.

`python -m benchmarks.training.peak` counts what torch's allocator gives out on a CPU: weights, gradients, activations
and logits, without optimizer state, which is the same for everyone. Results go to
`benchmarks/results/training_peak.json`.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers

from benchmarks.machine import describe_machine
from benchmarks.training import packed_steps, trl_steps
from benchmarks.training.counting import ShapesOnly
from benchmarks.training.rows import make_model, make_rows
from components.models.forward.check_packed import packed_model

RESULTS = Path(__file__).parents[1] / "results" / "training_peak.json"
VOCABULARY = 65_536
ROWS = trl_steps.MICRO_BATCH
"""Sequences of a forward and a backward pass on both sides: one of TRL's micro-batches, one pack."""
PEERS: tuple[trl_steps.Peer, ...] = ("default", "options")


@dataclass
class Peak:
    """The most bytes that were allocated at one time since the measurement began, beside those of before."""

    bytes: int = 0


@contextmanager
def measuring() -> Iterator[Peak]:
    """Measure what happens inside by the allocator's own record of every allocation and release on the CPU."""
    from torch.profiler import ProfilerActivity, profile

    peak = Peak()
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as record:
        yield peak
    assert record.profiler is not None and record.profiler.kineto_results is not None
    events = record.profiler.kineto_results.events()
    held = 0
    for _, size in sorted((event.start_ns(), event.nbytes()) for event in events if event.name() == "[memory]"):
        held += size
        peak.bytes = max(peak.bytes, held)


def held_bytes(*models: Any) -> int:
    """Bytes of these models' weights and gradients."""
    tensors = [tensor for model in models for one in model.parameters() for tensor in (one, one.grad)]
    return sum(tensor.nbytes for tensor in tensors if tensor is not None)


def peak_of(action: Callable[[], Any], *models: Any) -> int:
    """Peak bytes of an action, with what these models hold before it. Products are not computed: shapes suffice."""
    before = held_bytes(*models)
    with ShapesOnly(), measuring() as peak:
        action()
    return before + peak.bytes


def packed_peak(vocabulary: int, rows: int) -> int:
    """Peak bytes of KTO on packed batches, with gradients for all weights; the reference was computed before."""
    examples = [row.example() for row in make_rows(shared=False)[:rows]]
    model = make_model(vocabulary)
    packed = packed_model(model)
    return peak_of(lambda: packed_steps.kto_passes(packed, examples), model)


def trl_peak(peer: trl_steps.Peer, vocabulary: int, rows: int) -> int:
    """The largest peak of any micro-batch of TRL's KTO trainer, with the reference model where it holds one."""
    with trl_steps.kto_trainer(make_rows(shared=False)[:rows], peer, vocabulary) as trainer:
        step = trainer.training_step
        peaks: list[int] = []
        models = [model for model in (trainer.model, getattr(trainer, "ref_model", None)) if model is not None]
        trainer.training_step = lambda *given, **named: _record(peaks, lambda: step(*given, **named), models)
        trainer.train()
        return max(peaks)


def _record(peaks: list[int], action: Callable[[], Any], models: list[Any]) -> Any:
    results: list[Any] = []
    peaks.append(peak_of(lambda: results.append(action()), *models))
    return results[0]


def measure(vocabulary: int = VOCABULARY, rows: int = ROWS) -> dict[str, int]:
    """Peak bytes by who trains."""
    peers = {f"trl_{peer}": trl_peak(peer, vocabulary, rows) for peer in PEERS}
    return {"packed": packed_peak(vocabulary, rows)} | peers


def main() -> None:
    """Measure, print the table and write the results."""
    transformers.logging.set_verbosity_error()
    torch.manual_seed(0)
    found = measure()
    what = {"machine": describe_machine(), "vocabulary": VOCABULARY, "rows": ROWS, "peak_bytes": found}
    RESULTS.write_text(json.dumps(what, indent=2) + "\n")
    print("| KTO | peak, MiB | packed to it |\n|---|---:|---:|")
    for name, size in found.items():
        print(f"| {name} | {size / 2**20:,.0f} | {found['packed'] / size:.2f} |")


if __name__ == "__main__":
    main()
