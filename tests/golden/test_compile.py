"""Compiled pipelines are byte-identical every time; a change of one shows up in review."""

import os
from pathlib import Path

import pytest
import yaml
from kfp import compiler

from components.registry import STEPS
from components.shared.step import Step
from pipelines.kubeflow.compile_pipeline import compile_pipeline
from pipelines.pipeline import Recipe
from pipelines.recipe.read_recipe import read_recipe
from pipelines.registry import task_names
from pipelines.study.recipe import StudyRecipe

ROOT = Path(__file__).parents[2]
RECIPES = sorted((ROOT / "pipelines" / "recipes").glob("*.yaml"))
UPDATE_VARIABLE = "TUTELAGE_UPDATE_GOLDEN"


PLACEMENTS = sorted((ROOT / "pipelines" / "placements").glob("*.yaml"))


def shortened(recipe: Recipe) -> Recipe:
    """The recipe; of a study its first and last arm with one seed, since all arms are megabytes of the same tasks."""
    if not isinstance(recipe, StudyRecipe):
        return recipe
    first, *_, last = (arm for _, arm in recipe.given_arms)
    return recipe.model_copy(update={"arms": (first, last), "grid": None, "seeds": recipe.seeds[:1]})


def compare(recipe: Recipe, name: str, tmp_path: Path) -> Path:
    """Compare what a recipe compiles to with the golden file; returns the file that was compiled."""
    golden = Path(__file__).parent / f"{name}.yaml"
    compiled = tmp_path / "pipeline.yaml"
    compile_pipeline(shortened(recipe), compiled)
    if os.environ.get(UPDATE_VARIABLE):
        golden.write_bytes(compiled.read_bytes())
    assert compiled.read_bytes() == golden.read_bytes(), f"set {UPDATE_VARIABLE}=1 to accept the change"
    return compiled


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.stem)
def test_a_recipe_compiles_to_the_golden_file_and_its_graph_has_the_tasks_that_the_pipeline_lists(
    recipe: Path, tmp_path: Path
) -> None:
    overrides = {"data": "/data"} if "${data}" in recipe.read_text() else None
    read = read_recipe(recipe, overrides, check_files=False)
    compiled = compare(read, recipe.stem, tmp_path)
    if shortened(read) is not read:
        compile_pipeline(read, compiled)
    last = {step.task_name for step in STEPS.values() if step.ends_run}
    assert tasks_in(compiled) - last == set(task_names(read))


def tasks_in(compiled: Path) -> set[str]:
    """The tasks of a compiled pipeline's graph, those of the graphs within it among them."""
    # A study is megabytes: seconds for the loader that is not compiled.
    pipeline = next(yaml.load_all(compiled.read_text(), Loader=yaml.CSafeLoader))
    components = pipeline["components"]
    return {
        task["taskInfo"]["name"]
        for dag in [pipeline["root"], *components.values()]
        for task in dag.get("dag", {}).get("tasks", {}).values()
        if "dag" not in components[task["componentRef"]["name"]]
    }


@pytest.mark.parametrize("placement", PLACEMENTS, ids=lambda path: path.stem)
def test_the_demo_compiles_for_a_cluster_to_the_golden_file(placement: Path, tmp_path: Path) -> None:
    demo = next(path for path in RECIPES if path.stem == "demo")
    recipe = read_recipe(demo, check_files=False, store="s3://tutelage/demo", placement=placement, for_cluster=True)
    compare(recipe, f"demo-{placement.stem}", tmp_path)


def test_there_is_a_golden_file_for_every_recipe_and_placement_and_no_other() -> None:
    names = {path.stem for path in RECIPES} | {f"demo-{path.stem}" for path in PLACEMENTS}
    assert names == {path.stem for path in Path(__file__).parent.glob("*.yaml")}


@pytest.mark.parametrize("step", STEPS.values(), ids=lambda step: str(step.name))
def test_every_input_and_output_has_a_description_which_kubeflow_shows(step: Step, tmp_path: Path) -> None:
    component = step.load_component()
    compiler.Compiler().compile(component, str(tmp_path / "component.yaml"))
    compiled = yaml.safe_load((tmp_path / "component.yaml").read_text())
    (definition,) = compiled["components"].values()
    sides = [(side, kind) for side in ("inputDefinitions", "outputDefinitions") for kind in ("parameters", "artifacts")]
    described = {
        f"{side}.{name}": item.get("description", "")
        for side, kind in sides
        for name, item in definition.get(side, {}).get(kind, {}).items()
    }
    assert described and all(described.values()), [name for name, text in described.items() if not text]
    assert component.component_spec.description
