"""The parts of recipes that the docs of collect show make valid recipes."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipelines.recipe.read_recipe import read_recipe

ROOT = Path(__file__).parents[3]
DEMO = ROOT / "pipelines/recipes/demo.yaml"
SECTION = re.compile(r"## Two tasks with known data\n(.*?)\n## ", re.DOTALL)


def shown_parts() -> list[dict[str, Any]]:
    text = (ROOT / "components/collect/README.md").read_text(encoding="utf-8")
    section = SECTION.search(text)
    assert section is not None
    return [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", section[1], re.DOTALL)]


@pytest.mark.parametrize(("place", "asked"), [(0, ["qqp"]), (1, ["sonnets"])])
def test_a_task_is_a_part_of_a_recipe(place: int, asked: list[str], tmp_path: Path) -> None:
    part = shown_parts()[place]
    recipe = yaml.safe_load(DEMO.read_text(encoding="utf-8"))
    # The demo's gate names its own benchmark.
    recipe["publish"] = {**recipe["publish"], "gate": {"benchmark": asked[0]}}
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump({**recipe, **part}))
    found = read_recipe(tmp_path / "mine.yaml", check_files=False)
    assert [benchmark.name for benchmark in found.evaluate.benchmarks] == asked
    assert found.select.quality.scorer == "verifier"
