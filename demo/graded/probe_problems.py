"""Probe a model of the graded world with the step probe, and count hard, mixed and easy problems by family and steps.

`python -m demo.graded.probe_problems MODEL_FOLDER` probes the 480 problems to train on, with the probe's default rule.
"""

import tempfile
from collections import Counter, defaultdict
from pathlib import Path
from typing import Annotated, Final

import typer

from components.probe.draw_here import draw_here
from components.probe.probe import probe_problems
from components.probe.settings import ProbeSettings
from components.shared.outputs.library import Library
from components.shared.outputs.manifest import Manifest
from components.shared.outputs.output import Output
from components.shared.rollout_rows import Probed
from components.shared.rows import Check, Labelled
from components.shared.settings import Settings
from components.shared.step import Product
from demo.graded.evaluate_models import REPLY_TOKENS
from demo.graded.make_problems import graded_problems

POOLS: Final = ("hard", "mixed", "easy")
SETTINGS: Final = ProbeSettings.model_validate({"sampling": {"temperature": 1.0, "max_tokens": REPLY_TOKENS}})


def problem_dataset(library: Library, name: str) -> Manifest:
    """The problems of a file as an output with Labelled rows, as curate writes them."""
    output = Output(library, Product("curate", 1, Labelled.content), Settings(), {})
    rows = [
        Labelled(
            id=f"{name}-{number:03d}",
            source=name,
            line=number,
            instruction=problem.question,
            check=Check(kind="math", answer=str(problem.answer)),
            type="graded",
            primary=problem.family,
            secondary=problem.subject,
        )
        for number, problem in enumerate(graded_problems()[name], start=1)
    ]
    output.write_rows("rows/00000", rows)
    return output.finish()


def pools_by_subject(rows: list[Probed]) -> dict[str, Counter[str]]:
    """How many problems of each subject, and of `all`, are hard, mixed and easy."""
    found = defaultdict[str, Counter[str]](Counter)
    for row in rows:
        pool = SETTINGS.rule.pool(row.tries, row.successes)
        found[row.secondary][pool] += 1
        found["all"][pool] += 1
    return dict(found)


def main(
    folder: Annotated[Path, typer.Argument(help="a model's folder, as `save_pretrained` writes it")],
    problems: Annotated[str, typer.Option(help="the file of problems: train or heldout")] = "train",
) -> None:
    """Print the shares of hard, mixed and easy problems, and the probe's pass@1 and pass@8."""
    with tempfile.TemporaryDirectory() as root:
        library = Library(root)
        dataset = problem_dataset(library, problems)
        manifest = probe_problems(library, SETTINGS, dataset, str(folder.absolute()), draw_here)
        rows = list(library.read_rows(manifest, Probed))
    for subject, pools in sorted(pools_by_subject(rows).items()):
        shares = "  ".join(f"{pool} {pools[pool] / pools.total():5.1%}" for pool in POOLS)
        typer.echo(f"{subject:10s} {shares}  of {pools.total()}")
    typer.echo("  ".join(f"{name} {manifest.counts[name]:.3f}" for name in ("pass_at_1", "pass_at_8")))


if __name__ == "__main__":
    typer.run(main)
