"""The whole method on SmolLM2-135M-Instruct: fetch it, serve it, run the recipe; each part is a command of its own.

python -m benchmarks.real_model run --data FOLDER
"""

import json
import os
import subprocess
import sys
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks.machine import describe_machine
from benchmarks.real_model.choose_tasks import MAX_WORDS, choose_tasks
from benchmarks.real_model.fetch_model import ModelUnavailableError, fetch_model
from benchmarks.real_model.rates import THREADS, measure_rates, measure_served, seconds_of_run, sizes_within
from benchmarks.vllm_cpu.environment import VllmUnavailableError
from benchmarks.vllm_cpu.server import VllmServer, VllmStartError, serve
from components.shared.process.signals import sigterm_raises
from components.train.engine.join_ranks import cpu_has_bf16
from pipelines.recipe.document import Document

RECIPE = Path("pipelines/recipes/smollm2-135m.yaml")
STORE = Path(".tutelage/smollm2-135m")
T0_TASKS = Path("instructions/t0_tasks.jsonl")
CONTEXT_TOKENS = 1024
SEQUENCES = 64
"""Answers that the server writes at a time; the recipe's window."""
SIZES = ("rows", "samples", "epochs", "questions", "gsm8k_questions")
"""Variables of the recipe that decide how long it takes."""

app = typer.Typer(help=__doc__, add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)
Data = Annotated[Path, typer.Option(envvar="TUTELAGE_DATA", help="folder that holds instructions/ and eval/")]


@app.command()
def model() -> None:
    """Fetch and convert the model where it is missing, and print its folder."""
    print(fetch_model())


@app.command()
def tasks(
    data: Data, target: Annotated[Path, typer.Option(help="where the tasks go")] = STORE / "data" / "tasks.jsonl"
) -> None:
    """Write the T0 tasks whose answers can be checked."""
    rows, chosen = choose_tasks(data / T0_TASKS, target)
    print(f"{target}: {chosen} of {rows} tasks have an answer of at most {MAX_WORDS} words")


@app.command()
def rates(data: Data) -> None:
    """Measure how fast the model generates, reads and learns here, and compute what the recipe takes."""
    folder = fetch_model()
    with serve_model(folder) as server:
        found = _measure(folder, server, data)
    sizes = _sizes_of_recipe()
    seconds = seconds_of_run(found, sizes)
    shown = {"machine": describe_machine(), "tokens a second": found, "sizes": sizes}
    print(json.dumps({**shown, "seconds": seconds, "sum": sum(seconds.values())}, indent=1))


@app.command()
def run(
    data: Data,
    store: Annotated[Path, typer.Option(help="the run's store; run again to continue")] = STORE,
    settings: Annotated[list[str] | None, typer.Option("--set", help="NAME=VALUE for a variable of the recipe")] = None,
    minutes: Annotated[
        float, typer.Option(min=10, help="sizes are scaled down to what this machine does in them")
    ] = 90,
) -> None:
    """Run the recipe, with the model behind a vLLM server of its own."""
    folder, chosen = fetch_model(), store / "data" / "tasks.jsonl"
    tasks(data, chosen)
    with serve_model(folder) as server:
        given = {"data": data, "tasks": chosen, "model": folder, "endpoint": server.url, "served": folder.name}
        given |= _precisions() | _sizes(store, minutes, folder, server, data)
        pairs = [f"--set={name}={value}" for name, value in given.items()] + [f"--set={one}" for one in settings or []]
        command = [str(Path(sys.executable).with_name("tutelage")), "run", str(RECIPE), "--store", str(store), *pairs]
        raise typer.Exit(_run_to_its_end(command))


def _sizes_of_recipe() -> dict[str, int]:
    variables = Document.read(RECIPE).variables
    return {name: int(variables[name]) for name in SIZES}


def _measure(folder: Path, server: VllmServer, data: Path) -> dict[str, float]:
    """Tokens a second of each kind of work here."""
    window = int(Document.read(RECIPE).variables["window"])
    rates = measure_rates(folder, data, _precisions()["read_in"])
    return {**rates, "served": measure_served(server, folder.name, window, data)}


def _sizes(store: Path, minutes: float, folder: Path, server: VllmServer, data: Path) -> dict[str, int]:
    """The sizes of the run in a store: measured when it first starts, then kept, since other sizes are another run."""
    kept = store / "sizes.json"
    if not kept.exists():
        sizes = sizes_within(_measure(folder, server, data), _sizes_of_recipe(), minutes * 60)
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_text(json.dumps(sizes), encoding="utf-8")
    sizes = json.loads(kept.read_text(encoding="utf-8"))
    print(f"sizes ({kept}): {', '.join(f'{name} {size}' for name, size in sizes.items())}")
    return dict(sizes)


def _run_to_its_end(command: list[str]) -> int:
    """Run a command and return its exit code; what interrupts this process ends the command first, then the server."""
    process = subprocess.Popen(command)
    try:
        with sigterm_raises():
            return process.wait()
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait()


def _precisions() -> dict[str, Any]:
    """The recipe's variables for the precision of its steps: bf16 where this CPU has instructions for it."""
    if cpu_has_bf16():
        return {"trained_in": "bf16", "read_in": "bfloat16"}
    return {"trained_in": "fp32", "read_in": "float32"}


def serve_model(folder: Path) -> AbstractContextManager[VllmServer]:
    """The model behind vLLM, in the precision of the recipe's other steps.

    Its name identifies the model to the steps that reach it by its endpoint: it holds the digest of the content.
    """
    options = [f"--max-num-seqs={SEQUENCES}", "--enable-prefix-caching", f"--dtype={_precisions()['read_in']}"]
    # All prompts fit into one step: vLLM 0.30 for CPUs ends when it reads the prompt of a request with a seed in parts.
    options.append(f"--max-num-batched-tokens={SEQUENCES * CONTEXT_TOKENS}")
    os.environ["NO_PROXY"] = ",".join(filter(None, (os.environ.get("NO_PROXY"), "127.0.0.1")))
    return serve(folder, *options, name=folder.name, context_tokens=CONTEXT_TOKENS, threads=THREADS)


def main() -> None:
    """Run a command; what this machine lacks is reported in a sentence."""
    try:
        app()
    except (ModelUnavailableError, VllmUnavailableError, VllmStartError) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
