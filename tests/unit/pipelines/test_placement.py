"""What a compiled pipeline asks of the cluster."""

from pathlib import Path
from typing import Any

import yaml

from pipelines.compile_pipeline import compile_pipeline
from pipelines.placement import Placement, TaskPlacement
from pipelines.read_recipe import read_recipe

DEMO = Path(__file__).parents[3] / "pipelines" / "recipes" / "demo.yaml"


def compiled(tmp_path: Path, placement: Placement) -> dict[str, Any]:
    recipe = read_recipe(DEMO).model_copy(update={"placement": placement})
    path = tmp_path / "pipeline.yaml"
    compile_pipeline(recipe, path)
    pipeline: dict[str, Any] = next(yaml.safe_load_all(path.read_text()))
    return pipeline


def test_each_step_gets_its_own_resources_and_the_others_the_default(tmp_path: Path) -> None:
    placement = Placement(
        image="registry.example/tutelage:1",
        tasks={"default": TaskPlacement(memory="3Gi"), "evaluate": TaskPlacement(accelerators=2, memory="30Gi")},
    )
    executors = compiled(tmp_path, placement)["deploymentSpec"]["executors"]
    evaluate = executors["exec-evaluate"]["container"]
    assert evaluate["resources"]["accelerator"]["resourceCount"] == "2"
    assert evaluate["resources"]["resourceMemoryLimit"] == "30Gi"
    assert executors["exec-curate"]["container"]["resources"]["resourceMemoryLimit"] == "3Gi"
    assert {executor["container"]["image"] for executor in executors.values()} == {"registry.example/tutelage:1"}


def test_tasks_are_retried_after_hours_and_never_cached_by_kubeflow(tmp_path: Path) -> None:
    tasks = compiled(tmp_path, Placement())["root"]["dag"]["tasks"]
    assert len(tasks) == 12
    for task in tasks.values():
        assert task["cachingOptions"] == {} or not task["cachingOptions"].get("enableCache")
        assert task["retryPolicy"]["backoffMaxDuration"] == f"{7 * 24 * 3600}s"


def test_no_package_is_installed_at_run_time(tmp_path: Path) -> None:
    assert "pip install" not in str(compiled(tmp_path, Placement()))
