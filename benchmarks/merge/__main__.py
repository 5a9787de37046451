"""Merging: seconds beside a copy of the same bytes and beside mergekit, and memory.

    python -m benchmarks.merge

Makes a base and three models near it, of the size of SmolLM2-135M with random weights, and merges them by each method.
Every measurement has a process of its own.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Annotated, Any

import torch
import typer

from benchmarks.machine import describe_machine
from benchmarks.merge.measure import METHODS, NAMES

RESULT = Path("benchmarks/results/merge.json")
SMOLLM2_135M = {
    "vocab_size": 49152,
    "hidden_size": 576,
    "intermediate_size": 1536,
    "num_hidden_layers": 30,
    "num_attention_heads": 9,
    "num_key_value_heads": 3,
    "tie_word_embeddings": True,
}


def main(
    dtype: Annotated[str, typer.Option(help="type of the weights: float32 or bfloat16")] = "float32",
    methods: Annotated[list[str] | None, typer.Option(help="which methods; all without it")] = None,
    mergekit: Annotated[bool, typer.Option(help="time mergekit too: minutes for ties")] = True,
    result: Annotated[Path, typer.Option(help="where the numbers go")] = RESULT,
) -> None:
    """Measure, print, and write the result file's entries for this type of weights."""
    found = json.loads(result.read_text()) if result.exists() else {}
    found["machine"] = describe_machine()
    with tempfile.TemporaryDirectory() as work:
        make_models(Path(work), dtype)
        for method in methods or METHODS:
            for program in ("ours", "mergekit") if mergekit and method != "sweep" else ("ours",):
                found[f"{method}, {dtype}, {program}"] = numbers = measure(program, method, Path(work))
                print(f"{method}, {dtype}, {program}: {json.dumps(numbers)}", flush=True)
    result.write_text(json.dumps(found, indent=1) + "\n")


def make_models(home: Path, dtype: str) -> None:
    """Save a base and models that fine-tuning could have made of it: most weights moved a little."""
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    model = LlamaForCausalLM(LlamaConfig(**SMOLLM2_135M)).to(getattr(torch, dtype))
    base = {name: weights.clone() for name, weights in model.named_parameters()}
    for name in NAMES:
        with torch.no_grad():
            for key, weights in model.named_parameters():
                moved = torch.randn_like(weights, dtype=torch.float32) * (0 if name == "base" else 1e-3)
                weights.copy_(base[key].float() + moved)
        model.save_pretrained(home / name)


def measure(program: str, method: str, home: Path) -> dict[str, Any]:
    """What a fresh process measured."""
    command = [sys.executable, "-m", "benchmarks.merge.measure", program, method, str(home)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=1800, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stderr[-3000:]}")
    numbers: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return numbers


if __name__ == "__main__":
    typer.run(main)
