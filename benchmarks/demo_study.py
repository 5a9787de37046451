"""A demo over several seeds: mean and standard deviation of the base and of every model that was made.

    python -m benchmarks.demo_study --seeds 5
    python -m benchmarks.demo_study --recipe curriculum-demo --seeds 5

What does not depend on the seed of training is made once: the demo's data, and a curriculum's up to its first
training.
"""

import json
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.machine import describe_machine

RECIPES = Path("pipelines/recipes")
RESULTS = Path("benchmarks/results")


def main(
    seeds: Annotated[int, typer.Option(help="how many seeds, from 0")] = 5,
    recipe: Annotated[str, typer.Option(help="a recipe of this repository with the variable `seed`")] = "demo",
    work: Annotated[Path, typer.Option(help="folder of the runs' state and of their store")] = Path(".tutelage/study"),
) -> None:
    """Run a demo once for each seed and write what comes out."""
    began = time.monotonic()
    reports = [run_seed(recipe, seed, work / f"seed-{seed}", work / "store") for seed in range(seeds)]
    result = {
        "machine": describe_machine(),
        "seeds": seeds,
        "seconds": round(time.monotonic() - began),
        "variants": summarise(reports),
    }
    path = result_of(recipe)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(result, indent=1) + "\n")
    print(as_table(result))


def result_of(recipe: str) -> Path:
    """Where the numbers of a recipe go."""
    return RESULTS / f"{recipe.replace('-', '_')}_study.json"


def run_seed(recipe: str, seed: int, work: Path, store: Path) -> dict[str, object]:
    """Run a recipe with one seed; return its report. Runs with one store share their data."""
    command = [
        sys.executable,
        "-m",
        "pipelines.cli.main",
        "run",
        str(RECIPES / f"{recipe}.yaml"),
        "--set",
        f"seed={seed}",
        "--work",
        str(work),
        "--store",
        str(store),
    ]
    subprocess.run(command, check=True)
    report: dict[str, object] = json.loads((work / "runs" / recipe / "report.json").read_text())
    return report


def summarise(reports: list[dict[str, object]]) -> dict[str, dict[str, float]]:
    """For each variant, in percent: mean, standard deviation over the seeds, and those of the gain over the base."""
    scores: dict[str, list[float]] = {}
    for report in reports:
        for variant in report["variants"]:  # type: ignore[attr-defined]
            scores.setdefault(variant["name"], []).append(100 * variant["scores"][0]["value"])
    gains = {name: [a - b for a, b in zip(values, scores["base"], strict=True)] for name, values in scores.items()}
    return {
        name: {
            "mean": round(statistics.mean(values), 2),
            "deviation": round(statistics.stdev(values), 2) if len(values) > 1 else 0.0,
            "gain": round(statistics.mean(gains[name]), 2),
            "gain_deviation": round(statistics.stdev(gains[name]), 2) if len(values) > 1 else 0.0,
        }
        for name, values in scores.items()
    }


def as_table(result: dict[str, object]) -> str:
    """The summary as a Markdown table."""
    lines = ["| variant | exact match, % | gain over the base, points |", "|---|---|---|"]
    for name, row in result["variants"].items():  # type: ignore[attr-defined]
        lines.append(f"| {name} | {row['mean']} ± {row['deviation']} | {row['gain']:+} ± {row['gain_deviation']} |")
    return "\n".join(lines)


if __name__ == "__main__":
    typer.run(main)
