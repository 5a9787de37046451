"""The whole method on SmolLM2-135M-Instruct: fetch it, serve it, run the recipe; each part is a command of its own.

python -m benchmarks.real_model run --data FOLDER
"""

import json
import os
import subprocess
import sys
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.machine import describe_machine
from benchmarks.real_model.choose_tasks import MAX_WORDS, choose_tasks
from benchmarks.real_model.fetch_model import ModelUnavailableError, fetch_model
from benchmarks.real_model.rates import PRECISION, THREADS, measure_rates, measure_served, seconds_of_run
from benchmarks.vllm_cpu.environment import VllmUnavailableError
from benchmarks.vllm_cpu.server import VllmServer, VllmStartError, serve
from components.shared.process.signals import sigterm_raises
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
    variables = Document.read(RECIPE).variables
    found = measure_rates(folder, data)
    with serve_model(folder) as server:
        found["served"] = measure_served(server, folder.name, int(variables["window"]), data)
    sizes = {name: int(variables[name]) for name in SIZES}
    seconds = seconds_of_run(found, sizes)
    shown = {"machine": describe_machine(), "tokens a second": found, "sizes": sizes}
    print(json.dumps({**shown, "seconds": seconds, "sum": sum(seconds.values())}, indent=1))


@app.command()
def run(
    data: Data,
    store: Annotated[Path, typer.Option(help="the run's store; run again to continue")] = STORE,
    settings: Annotated[list[str] | None, typer.Option("--set", help="NAME=VALUE for a variable of the recipe")] = None,
) -> None:
    """Run the recipe, with the model behind a vLLM server of its own."""
    folder, chosen = fetch_model(), store / "data" / "tasks.jsonl"
    tasks(data, chosen)
    with serve_model(folder) as server:
        given = {"data": data, "tasks": chosen, "model": folder, "endpoint": server.url, "served": folder.name}
        pairs = [f"--set={name}={value}" for name, value in given.items()] + [f"--set={one}" for one in settings or []]
        command = [str(Path(sys.executable).with_name("tutelage")), "run", str(RECIPE), "--store", str(store), *pairs]
        raise typer.Exit(_run_to_its_end(command))


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


def serve_model(folder: Path) -> AbstractContextManager[VllmServer]:
    """The model behind vLLM, in the precision of the recipe's other steps.

    Its name identifies the model to the steps that reach it by its endpoint: it holds the digest of the content.
    """
    options = [f"--max-num-seqs={SEQUENCES}", "--enable-prefix-caching", f"--dtype={PRECISION}"]
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
