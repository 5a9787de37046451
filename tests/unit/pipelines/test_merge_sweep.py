"""Merges of the same models wait for the first of them, whose task makes all."""

from pathlib import Path
from typing import Any

import yaml

from pipelines.kubeflow.compile_pipeline import compile_pipeline
from pipelines.recipe.read_recipe import read_recipe

DEMO = Path(__file__).parents[3] / "pipelines" / "recipes" / "demo.yaml"
QUARTER = {"models": [{"name": "sft", "weight": 0.25}, {"name": "sft-kto", "weight": 0.75}]}


def compiled_merges(tmp_path: Path) -> dict[str, Any]:
    """The merge tasks of the demo with one more merge of the models of `half`, by the merge's name."""
    recipe = yaml.safe_load(DEMO.read_text())
    recipe["merge"]["quarter"] = QUARTER
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    compile_pipeline(read_recipe(tmp_path / "recipe.yaml", check_files=False), tmp_path / "pipeline.yaml")
    text = (tmp_path / "pipeline.yaml").read_text()
    pipeline = next(yaml.safe_load_all(text))
    graphs = [pipeline["root"], *pipeline["components"].values()]
    tasks = [task for graph in graphs for task in graph.get("dag", {}).get("tasks", {}).values()]
    named = {task["taskInfo"]["name"]: task for task in tasks}
    return {name.removeprefix("merge-"): task for name, task in named.items() if name.startswith("merge-")}


def test_a_sweep_is_made_by_its_first_task(tmp_path: Path) -> None:
    merges = compiled_merges(tmp_path)
    others = {name: task["inputs"]["parameters"]["others"]["runtimeValue"]["constant"] for name, task in merges.items()}
    assert [[part["weight"] for part in one["models"]] for one in others.pop("half")] == [[0.25, 0.75]]
    assert set(others) == {"twentieth", "ties", "quarter"} and not any(others.values())
    waits = {
        name: [task for task in merge["dependentTasks"] if task.startswith("merge")] for name, merge in merges.items()
    }
    assert waits == {"half": [], "twentieth": [], "ties": [], "quarter": ["merge"]}
