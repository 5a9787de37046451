"""A step that is only in this folder is known wherever steps are listed, once it is in the registry."""

from pathlib import Path

import pytest

from components.registry import STEPS
from components.shared.step import Image
from pipelines.placement.list_images import list_images
from pipelines.placement.placement import Placement
from pipelines.recipe.read_recipe import read_recipe
from pipelines.registry import tasks_of
from tests.unit.registries.made_up.shout.step import STEP

DEMO = Path(__file__).parents[3] / "pipelines" / "recipes" / "demo.yaml"


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(STEPS, STEP.name, STEP)


def test_a_placement_for_several_pipelines_may_name_it(tmp_path: Path) -> None:
    path = tmp_path / "placement.yaml"
    path.write_text("tasks: {shout: {cpu: '7'}}\nimages: {shout: 'ours:1'}\njobs: {shout: {launcher: RayJob}}\n")
    placement = read_recipe(DEMO, placement=path, check_files=False).placement
    assert placement.of("shout").cpu == "7" and placement.image_of("shout") == "ours:1"
    assert Placement().image_of("shout") == Image.RAY.reference


def test_its_image_is_one_that_a_site_must_mirror(tmp_path: Path) -> None:
    placement = Placement(images={"shout": "ours:1"})
    assert "ours:1" in list_images([], placement, tasks_of(read_recipe(DEMO, check_files=False)))


def test_its_component_is_found() -> None:
    assert STEPS["shout"].load_component().component_spec.name == "shout"
