"""Where the benchmark of the demo's seeds keeps what it makes."""

import json
import re
import subprocess
from pathlib import Path

import pytest
from typer.testing import CliRunner

from benchmarks import demo_study
from pipelines.cli import show_result
from pipelines.cli.main import app
from pipelines.local import run_here
from pipelines.local.run_folder import RunFolder
from pipelines.pipeline import Recipe

SCORES = [{"name": "base", "scores": [{"value": 0.4}]}, {"name": "sft", "scores": [{"value": 0.7}]}]


@pytest.mark.parametrize("name", ["demo", "curriculum-demo"])
def test_all_of_it_is_in_its_own_folder_and_the_seeds_share_their_data(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command line is the real one, and so are the recipes; only the run itself is left out."""
    runs: list[tuple[str, str]] = []
    seeds: list[int] = []

    def run_recipe(recipe: Recipe, folder: RunFolder, *, debug: bool) -> None:
        runs.append((recipe.store, str(folder.path)))
        seeds.extend(training_seeds(recipe))
        folder.path.mkdir(parents=True)
        (folder.path / "report.json").write_text(json.dumps({"variants": SCORES}))

    def run(command: list[str], *, check: bool) -> None:
        done = CliRunner().invoke(app, command[3:])
        assert check and done.exit_code == 0, done.output

    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.setattr(run_here, "run_here", run_recipe)
    for shown in ("fetch_report", "print_result"):
        monkeypatch.setattr(show_result, shown, lambda *_: None)
    monkeypatch.setattr(demo_study, "RESULTS", tmp_path)
    work = tmp_path / "work"
    demo_study.main(seeds=2, recipe=name, work=work)
    assert runs == [(str(work / "store"), str(work / f"seed-{seed}" / "runs" / name)) for seed in (0, 1)]
    assert sorted(set(seeds)) == [0, 1], "every training has the run's seed"
    assert json.loads(demo_study.result_of(name).read_text())["variants"]["sft"]["gain"] == 30


def training_seeds(recipe: Recipe) -> list[int]:
    """The seeds of a recipe's trainings, wherever it has their settings."""
    found = re.findall(r'"method":"\w+".*?"seed":(\d+)', recipe.model_dump_json())
    assert found
    return [int(seed) for seed in found]
