"""Compiled pipelines are the same bytes every time; a change of one shows in review."""

import os
from pathlib import Path

import pytest

from pipelines.compile_pipeline import compile_pipeline
from pipelines.read_recipe import read_recipe

ROOT = Path(__file__).parents[2]
RECIPES = sorted((ROOT / "pipelines" / "recipes").glob("*.yaml"))
UPDATE_VARIABLE = "TUTELAGE_UPDATE_GOLDEN"


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.stem)
def test_a_recipe_compiles_to_the_golden_file(recipe: Path, tmp_path: Path) -> None:
    golden = Path(__file__).parent / f"{recipe.stem}.yaml"
    compiled = tmp_path / "pipeline.yaml"
    compile_pipeline(
        read_recipe(recipe, {"data": "/data"} if "${data}" in recipe.read_text() else None, check_files=False), compiled
    )
    if os.environ.get(UPDATE_VARIABLE):
        golden.write_bytes(compiled.read_bytes())
    assert compiled.read_bytes() == golden.read_bytes(), f"set {UPDATE_VARIABLE}=1 to accept the change"


def test_there_is_a_golden_file_for_every_recipe_and_no_other() -> None:
    assert {path.stem for path in RECIPES} == {path.stem for path in Path(__file__).parent.glob("*.yaml")}
