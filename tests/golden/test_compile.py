"""Compiled pipelines are the same bytes every time; a change of one shows in review."""

import os
from pathlib import Path

import pytest

from pipelines.compile_pipeline import compile_pipeline
from pipelines.read_recipe import read_recipe
from pipelines.recipe import Recipe

ROOT = Path(__file__).parents[2]
RECIPES = sorted((ROOT / "pipelines" / "recipes").glob("*.yaml"))
UPDATE_VARIABLE = "TUTELAGE_UPDATE_GOLDEN"


PLACEMENTS = sorted((ROOT / "pipelines" / "placements").glob("*.yaml"))


def compare(recipe: Recipe, name: str, tmp_path: Path) -> None:
    golden = Path(__file__).parent / f"{name}.yaml"
    compiled = tmp_path / "pipeline.yaml"
    compile_pipeline(recipe, compiled)
    if os.environ.get(UPDATE_VARIABLE):
        golden.write_bytes(compiled.read_bytes())
    assert compiled.read_bytes() == golden.read_bytes(), f"set {UPDATE_VARIABLE}=1 to accept the change"


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.stem)
def test_a_recipe_compiles_to_the_golden_file(recipe: Path, tmp_path: Path) -> None:
    overrides = {"data": "/data"} if "${data}" in recipe.read_text() else None
    compare(read_recipe(recipe, overrides, check_files=False), recipe.stem, tmp_path)


@pytest.mark.parametrize("placement", PLACEMENTS, ids=lambda path: path.stem)
def test_the_demo_compiles_for_a_cluster_to_the_golden_file(placement: Path, tmp_path: Path) -> None:
    demo = next(path for path in RECIPES if path.stem == "demo")
    recipe = read_recipe(demo, check_files=False, store="s3://tutelage/demo", placement=placement, for_cluster=True)
    compare(recipe, f"demo-{placement.stem}", tmp_path)


def test_there_is_a_golden_file_for_every_recipe_and_placement_and_no_other() -> None:
    names = {path.stem for path in RECIPES} | {f"demo-{path.stem}" for path in PLACEMENTS}
    assert names == {path.stem for path in Path(__file__).parent.glob("*.yaml")}
