"""What a GPU reaches: `python -m benchmarks.gpu`, at most 8 minutes on one card. Without one it exits with code 2.

Measures SFT's model FLOPs utilisation, KTO beside TRL's trainer with its defaults, and
attention by torch's variable-length kernel beside sdpa, with a random model of the size of Qwen2-0.5B in bf16.
Trainings are the train step's own, so they include DeepSpeed and the record of steps. `--toy` runs the same at a toy's
size on a CPU: its numbers mean nothing.
"""

import json
import sys
import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks.gpu.attention import measure_attention
from benchmarks.gpu.rows import save_model, write_rows
from benchmarks.gpu.scale import CARD, SMALL, Scale, operations, peak_operations
from benchmarks.gpu.trainings import train_here, train_with_trl
from benchmarks.machine import describe_machine

RESULT = Path(__file__).parents[1] / "results" / "gpu.json"
SFT_AIM, KTO_AIM = 0.40, 2.2
"""Utilisation of SFT, and how often faster than TRL's defaults KTO is to be."""

app = typer.Typer(add_completion=False)


@app.command()
def main(
    toy: Annotated[bool, typer.Option("--toy", help="a toy's size, on a CPU too: shows that everything runs")] = False,
    peak_tflops: Annotated[float, typer.Option(help="the card's bf16 TFLOP/s, where it is not in the table")] = 0.0,
    result: Annotated[Path, typer.Option(help="where the numbers go")] = RESULT,
) -> None:
    """Measure, print the table, and write the result."""
    device = card_name()
    if device is None and not toy:
        print("benchmarks.gpu needs an NVIDIA GPU, and torch finds none here; --toy runs without", file=sys.stderr)
        raise typer.Exit(2)
    if toy and result == RESULT:
        result = Path(tempfile.mkdtemp()) / "gpu-toy.json"
    peak = peak_tflops * 1e12 or peak_operations(device or "")
    found = {"machine": describe_machine(), "device": device or "none", "toy": toy}
    found |= measure(SMALL if toy else CARD, peak)
    result.write_text(json.dumps(found, indent=2) + "\n")
    print(table(found))
    print(f"written to {result}")


def card_name() -> str | None:
    """The first GPU's name; None without one."""
    import torch

    return torch.cuda.get_device_name(0) if torch.cuda.is_available() else None


def measure(scale: Scale, peak: float | None) -> dict[str, Any]:
    """All measurements. Each training of Tutelage's is a process of its own, which leaves the card to the next one.

    Args:
        scale: the size of everything.
        peak: the card's operations a second; None: utilisation is left out.
    """
    with tempfile.TemporaryDirectory() as work:
        start = save_model(Path(work, "start"), scale)
        sft = _train(Path(work, "sft"), start, scale, "sft")
        ours = _train(Path(work, "kto"), start, scale, "kto")
        root = str(Path(work, "trl", "store"))
        trl = train_with_trl(write_rows(root, scale), root, start, scale, Path(work, "trl"))
    speeds = {name: round(trl[name] / ours[name], 3) for name in ("timed_seconds", "seconds_train")}
    return {
        "sft": sft | {"utilisation": utilisation(scale, sft["step_seconds"], peak)},
        "kto": {"tutelage": ours, "trl": trl, "times_as_fast": speeds},
        "attention": measure_attention(scale),
    }


def _train(folder: Path, start: Path, scale: Scale, method: str) -> dict[str, float]:
    root = str(folder)
    return train_here(root, write_rows(root, scale), start, scale, method=method)


def utilisation(scale: Scale, step_seconds: float, peak: float | None) -> float | None:
    """Share of the card's peak that SFT's optimizer steps reach; None where the peak is unknown."""
    if peak is None:
        return None
    return round(operations(scale.shape, scale.batch, scale.sft_tokens) / step_seconds / peak, 4)


def table(found: dict[str, Any]) -> str:
    """The numbers as a table in Markdown."""
    attention, kto = found["attention"], found["kto"]
    lines = [f"| {found['device']} | measured | aim |", "|---|---|---|"]
    share = found["sft"]["utilisation"]
    shown = "the card's peak is not known: --peak-tflops" if share is None else f"{share:.1%}"
    lines.append(f"| SFT, model FLOPs utilisation | {shown} | {SFT_AIM:.0%} |")
    speeds = kto["times_as_fast"]
    lines.append(f"| KTO's steps, times as fast as TRL's defaults | {speeds['timed_seconds']:.2f} | {KTO_AIM} |")
    lines.append(f"| KTO's training with the reference, likewise | {speeds['seconds_train']:.2f} | |")
    varlen = attention["varlen_seconds"]
    shown = "needs a GPU" if varlen is None else f"{attention['sdpa_seconds'] / varlen:.2f}"
    return "\n".join([*lines, f"| variable-length attention, times as fast as sdpa by row | {shown} | |"])


if __name__ == "__main__":
    app()
