"""A task whose backend has packages of its own runs in the image that has them, or is refused before it starts."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from components.shared.errors import SettingsError
from components.shared.step import Image
from pipelines.kubeflow.compile_pipeline import compile_pipeline
from pipelines.pipeline import Recipe
from pipelines.placement.check_images import packages_missing_here, require_packages_here
from pipelines.placement.list_images import list_images
from pipelines.placement.move_tasks import move_tasks
from pipelines.recipe.read_recipe import read_recipe
from pipelines.registry import tasks_of

DEMO = Path(__file__).parents[3] / "pipelines" / "recipes" / "demo.yaml"
TEACHER = {"backend": "openai", "model": "t", "endpoints": ["http://teacher.example/v1"]}
GPU = {"evaluate": {"accelerators": 1}}
SITE = "registry.example/train:1"


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    """The demo, whose models vLLM evaluates, and a teacher behind an endpoint."""
    written = yaml.safe_load(DEMO.read_text())
    written["evaluate"] |= {"generator": {"backend": "vllm"}, "endpoints": {"teacher": TEACHER}}
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(written))
    return tmp_path / "recipe.yaml"


def read(recipe: Path, **placement: Any) -> Recipe:
    path = recipe.parent / "placement.yaml"
    path.write_text(json.dumps(placement))
    return read_recipe(recipe, check_files=False, placement=path, store="s3://bucket/demo", for_cluster=True)


def images_by_task(recipe: Recipe, tmp_path: Path) -> dict[str, str]:
    """The image of every task of the compiled pipeline."""
    compile_pipeline(recipe, tmp_path / "pipeline.yaml")
    pipeline = next(yaml.safe_load_all((tmp_path / "pipeline.yaml").read_text()))
    executors = pipeline["deploymentSpec"]["executors"]
    return {
        task["taskInfo"]["name"]: executors[pipeline["components"][task["componentRef"]["name"]]["executorLabel"]][
            "container"
        ]["image"]
        for task in pipeline["root"]["dag"]["tasks"].values()
    }


def test_models_that_vllm_evaluates_run_in_the_image_that_has_it_and_an_endpoint_does_not(
    recipe: Path, tmp_path: Path
) -> None:
    found = images_by_task(read(recipe, tasks=GPU), tmp_path)
    assert {found["evaluate-base"], found["evaluate-sft-kto"]} == {Image.RAY_VLLM.reference}
    assert {found["evaluate-teacher"], found["compare"], found["select"]} == {Image.TRAIN.reference}
    assert found["synthesize"] == Image.RAY.reference


def test_a_site_names_its_copy_once_or_an_image_of_its_own_for_the_step(recipe: Path, tmp_path: Path) -> None:
    copied = read(recipe, image=SITE, images={"ray-vllm": "registry.example/ray-vllm:1"}, tasks=GPU)
    found = images_by_task(copied, tmp_path)
    assert (found["evaluate-base"], found["evaluate-teacher"]) == ("registry.example/ray-vllm:1", SITE)
    own = read(recipe, image=SITE, images={"evaluate": "registry.example/vllm-on-cpus:1"})
    assert images_by_task(own, tmp_path)["evaluate-base"] == "registry.example/vllm-on-cpus:1"


def test_its_image_is_among_those_that_a_site_must_mirror(recipe: Path) -> None:
    loaded = read(recipe, tasks=GPU)
    assert Image.RAY_VLLM.reference in list_images([], loaded.placement, tasks_of(loaded))
    demo = read_recipe(DEMO, check_files=False)
    assert Image.RAY_VLLM.reference not in list_images([], demo.placement, tasks_of(demo))


@pytest.mark.parametrize(
    ("placement", "said"),
    [
        ({"image": SITE, "tasks": GPU}, "evaluate-base needs an image with the package vllm, and image"),
        ({}, "evaluate-base needs a GPU for vllm, and requests none"),
    ],
)
def test_a_placement_in_which_it_could_not_run_is_refused(recipe: Path, placement: dict[str, Any], said: str) -> None:
    with pytest.raises(SettingsError) as caught:
        read(recipe, **placement)
    assert said in str(caught.value) and "remedy: " in str(caught.value)
    assert "evaluate-teacher" not in str(caught.value)


def test_the_job_of_synthesize_needs_it_and_the_pod_that_follows_the_job_does_not(tmp_path: Path) -> None:
    written = yaml.safe_load(DEMO.read_text())
    written["synthesize"]["student"] = {"backend": "vllm", "model": "package:demo/student"}
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(written))
    loaded = read(tmp_path / "recipe.yaml", jobs={"synthesize": {"launcher": "RayJob", "pods": {"gpus": 1}}})
    (task,) = [task for task in move_tasks(loaded.placement, tasks_of(loaded)) if task.name == "synthesize"]
    assert task.launch is not None and task.launch.pods.image == Image.RAY_VLLM.reference
    assert task.image_needed_by_pod is None
    with pytest.raises(SettingsError, match="synthesize needs an image with the package vllm"):
        read(tmp_path / "recipe.yaml", image=SITE, jobs={"synthesize": {"launcher": "RayJob"}})


CURRICULUM = DEMO.parent / "curriculum-demo.yaml"
FOLLOWED = {"train": "tutelage/launcher:1"}


@pytest.fixture
def reinforced(tmp_path: Path) -> Path:
    """The demo's curriculum, whose rollouts vLLM draws."""
    written = yaml.safe_load(CURRICULUM.read_text())
    written["train"]["rl"]["grpo"]["vllm"] = {}
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(written))
    return tmp_path / "recipe.yaml"


def train_job(**pods: Any) -> dict[str, Any]:
    return {"train": {"launcher": "TrainJob", "processes_per_node": 2, "pods": pods}}


def test_the_job_of_a_training_whose_rollouts_vllm_draws_has_an_image_with_it(reinforced: Path) -> None:
    loaded = read(reinforced, jobs=train_job(gpus=2))
    launches = {task.name: task.launch for task in move_tasks(loaded.placement, tasks_of(loaded)) if task.launch}
    images = {name: launch.pods.image for name, launch in launches.items() if name.startswith("train-")}
    assert images["train-round-1-rl"] == images["train-grpo"] == Image.TRAIN_VLLM.reference
    assert images["train-round-1-sft"] == images["train-mixed-sft"] == Image.TRAIN.reference
    copy = "registry.example/tutelage/train-vllm@sha256:" + "1" * 64
    read(reinforced, image=SITE, images=FOLLOWED, jobs=train_job(gpus=2, image=copy))
    read(reinforced, image=SITE, images=FOLLOWED, jobs=train_job(gpus=2, image="registry.example/own:1"))


def test_a_job_with_a_copy_of_the_steps_image_gets_the_copy_of_the_one_that_it_needs(reinforced: Path) -> None:
    """The chart's placement names both."""
    copies = {"train": "registry.example/tutelage/train:1", "train-vllm": "registry.example/tutelage/train-vllm:1"}
    images = {**FOLLOWED, "train-vllm": copies["train-vllm"]}
    loaded = read(reinforced, image=SITE, images=images, jobs=train_job(gpus=2, image=copies["train"]))
    launches = {task.name: task.launch for task in move_tasks(loaded.placement, tasks_of(loaded)) if task.launch}
    assert launches["train-round-2-rl"].pods.image == copies["train-vllm"]
    assert launches["train-round-2-sft"].pods.image == copies["train"]


@pytest.mark.parametrize(
    ("placement", "said"),
    [
        (
            {"images": FOLLOWED, "jobs": train_job(gpus=2, image="registry.example/tutelage/train:1")},
            "needs an image with the package vllm, and its job's is 'registry.example/tutelage/train:1', which lacks",
        ),
        ({"jobs": train_job()}, "train-round-1-rl needs a GPU for vllm, and its job requests none"),
        ({"image": SITE, "jobs": train_job(gpus=2)}, "train-grpo needs an image with the package vllm, and image"),
    ],
)
def test_a_job_that_could_not_draw_with_vllm_is_refused(reinforced: Path, placement: Any, said: str) -> None:
    with pytest.raises(SettingsError) as caught:
        read(reinforced, **placement)
    assert said in str(caught.value) and "remedy: " in str(caught.value)
    assert "train-round-1-sft" not in str(caught.value)


def test_a_run_here_without_a_gpu_for_its_rollouts_is_refused_before_it_starts(
    reinforced: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)
    tasks = tasks_of(read_recipe(reinforced, check_files=False))
    with pytest.raises(SettingsError, match=r"train-round-1-rl: grpo\.vllm is set, and this machine lacks .*a GPU"):
        require_packages_here(tasks)


def test_a_run_on_this_machine_without_the_package_is_refused_before_it_starts(
    recipe: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Image, "only_here", property(lambda image: "no_such_vllm" if image is Image.RAY_VLLM else ""))
    tasks = tasks_of(read_recipe(recipe, check_files=False))
    (names,) = packages_missing_here(tasks).values()
    assert "evaluate-base" in names and "evaluate-teacher" not in names and "compare" not in names
    with pytest.raises(SettingsError, match="no_such_vllm is not installed in this environment"):
        require_packages_here(tasks)
    require_packages_here(tasks_of(read_recipe(DEMO, check_files=False)))
