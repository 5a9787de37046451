"""A pipeline of steps that are only in this folder is read, checked, compiled, placed, examined and run."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from components.registry import STEPS
from components.shared.errors import SettingsError
from components.shared.outputs.library import Library
from components.shared.step import Image
from pipelines.doctor.machine import looks_at
from pipelines.kubeflow.compile_pipeline import compile_pipeline
from pipelines.local.run_folder import RunFolder
from pipelines.placement.list_images import list_images
from pipelines.recipe.move_jobs import move_jobs
from pipelines.recipe.read_recipe import read_recipe
from pipelines.recipe.schemas import schema_of
from pipelines.registry import PIPELINES, pipeline_of, task_names, tasks_of
from tests.unit.registries.made_up.loud import PIPELINE, LoudRecipe
from tests.unit.registries.made_up.shout.step import STEP

RECIPE = """\
name: hello
pipeline: loud
store: s3://bucket/hello
shouts:
  one: {text: hello}
  two: {text: me@home, times: 2}
"""
PLACEMENT = """\
tasks: {shout: {memory: 3Gi}}
pods: {secrets: {AWS_SECRET_ACCESS_KEY: {secret: s3, key: secret-key}}}
jobs:
  shout-two: {launcher: RayJob, nodes: 2}
"""


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(STEPS, STEP.name, STEP)
    monkeypatch.setitem(PIPELINES, PIPELINE.name, PIPELINE)


def written(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


@pytest.fixture
def recipe(tmp_path: Path) -> LoudRecipe:
    """The recipe on a cluster, as `tutelage submit` reads it."""
    placement = written(tmp_path / "placement.yaml", PLACEMENT)
    read = read_recipe(written(tmp_path / "recipe.yaml", RECIPE), placement=placement, for_cluster=True)
    assert isinstance(read, LoudRecipe)
    return read


def refusal(tmp_path: Path, old: str, new: str, placement: str = PLACEMENT) -> str:
    """The error about a recipe in which a text is replaced."""
    path = written(tmp_path / "wrong.yaml", RECIPE.replace(old, new))
    with pytest.raises(SettingsError) as caught:
        read_recipe(path, placement=written(tmp_path / "other.yaml", placement), for_cluster=True)
    return str(caught.value)


def compiled(recipe: LoudRecipe, folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """The pipeline, and what it asks of Kubernetes by executor."""
    compile_pipeline(recipe, folder / "loud.yaml")
    pipeline, platform = yaml.safe_load_all((folder / "loud.yaml").read_text())
    return pipeline, platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]


def test_its_recipe_is_read_in_its_own_class_and_its_tasks_are_known(recipe: LoudRecipe) -> None:
    assert pipeline_of(recipe) is PIPELINE
    assert task_names(recipe) == ["shout-one", "shout-two"]


def test_an_unknown_pipeline_is_refused_with_the_line_and_the_names_there_are(tmp_path: Path) -> None:
    said = refusal(tmp_path, "pipeline: loud", "pipeline: lout")
    assert "wrong.yaml:2: pipeline: " in said and "'lout'" in said
    assert f"allowed: {', '.join(PIPELINES)}" in said and "loud" in PIPELINES


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("{text: hello}", "{txt: hello}", "wrong.yaml:5: shouts.one.txt: unknown key 'txt'"),
        ("text: hello", "text: ' '", "wrong.yaml:5: shouts.one.text: nothing to shout"),
        ("text: hello", "text: a, file: there.txt", "wrong.yaml:5: shouts.one.file: 'there.txt'"),
        ("text: hello", f"text: {'a' * 60_000}", "wrong.yaml:5: shouts.one: its settings are"),
        ("text: hello", "text: a, launch: {launcher: TrainJob}", "allowed: local, RayJob"),
    ],
)
def test_a_fault_is_reported_with_its_line(tmp_path: Path, old: str, new: str, said: str) -> None:
    assert said in refusal(tmp_path, old, new)


@pytest.mark.parametrize(
    ("placement", "said"),
    [
        ("tasks: {shaut: {memory: 3Gi}}", "clean_up, shout"),
        ("jobs: {shout-three: {}}", "shout, shout-one, shout-two"),
        ("jobs: {shout: {launcher: PyTorchJob}}", "a PyTorchJob cannot run the job of shout"),
    ],
)
def test_its_placement_is_checked(tmp_path: Path, placement: str, said: str) -> None:
    assert said in refusal(tmp_path, "", "", placement)


def test_its_jobs_are_moved_and_its_settings_embed_what_pods_cannot_read(recipe: LoudRecipe) -> None:
    moved = move_jobs(recipe)
    one, two = moved.shouts.values()
    assert one.launch.launcher == "local" and two.launch.launcher == "RayJob" and two.launch.nodes == 2
    assert two.launch.pods.image == Image.RAY.reference
    assert two.text == "me at home" and recipe.shouts["two"].text == "me@home"


def test_it_compiles_with_its_placement_and_a_clean_up(recipe: LoudRecipe, tmp_path: Path) -> None:
    pipeline, kubernetes = compiled(recipe, tmp_path)
    tasks = pipeline["root"]["dag"]["tasks"]
    assert {"clean-up"} < {task["taskInfo"]["name"] for task in tasks.values()}
    executors = pipeline["deploymentSpec"]["executors"]
    container = executors["exec-shout"]["container"]
    assert container["image"] == Image.RAY.reference
    assert container["resources"]["resourceMemoryLimit"] == "3Gi"
    assert executors["exec-clean-up"]["container"]["image"] == Image.LAUNCHER.reference
    assert kubernetes["exec-shout"]["secretAsEnv"] and "secretAsEnv" not in kubernetes["exec-clean-up"]
    # The task that starts a job is signalled alone when it is cancelled.
    labels = {each["podMetadata"]["labels"]["tutelage.dev/task"]: each["podMetadata"] for each in kubernetes.values()}
    assert "annotations" in labels["shout-two"] and "annotations" not in labels["shout-one"]


def test_without_a_job_on_the_cluster_nothing_is_cleaned_up(recipe: LoudRecipe, tmp_path: Path) -> None:
    here = recipe.model_copy(update={"placement": recipe.placement.model_copy(update={"jobs": {}})})
    pipeline, _ = compiled(here, tmp_path)
    assert set(pipeline["root"]["dag"]["tasks"]) == {"shout", "shout-2"}


def test_doctor_looks_at_what_its_steps_need_once(recipe: LoudRecipe) -> None:
    assert [look.what for look in looks_at(recipe)] == ["shouts.one.voice"]


def test_its_schema_and_images_are_known(recipe: LoudRecipe) -> None:
    assert "shouts" in schema_of("recipe/loud")["properties"]
    assert Image.RAY.reference in list_images([], recipe.placement, tasks_of(recipe))


def test_it_runs_on_this_machine(recipe: LoudRecipe, tmp_path: Path) -> None:
    from kfp import local

    root = str(tmp_path / "store")
    folder = RunFolder("hello", tmp_path)
    folder.path.mkdir(parents=True)
    folder.start(recipe.model_copy(update={"store": root}))
    back = folder.recipe()
    assert isinstance(back, LoudRecipe)
    local.init(local.SubprocessRunner(use_venv=False), pipeline_root=str(tmp_path / "kfp"), raise_on_error=True)
    pipeline_of(back).build(back, None)()
    library = Library(root)
    made = [path.parent.name for path in (tmp_path / "store" / "shout").glob("*/manifest.json")]
    texts = {library.read_bytes(library.load(f"shout/{key}"), "shouted.txt") for key in made}
    assert texts == {b"HELLO", b"ME@HOMEME@HOME"}
