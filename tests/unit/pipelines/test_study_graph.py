"""The compiled study: what each task gets, what runs at the end in any case, and where it is placed."""

from pathlib import Path
from typing import Any

import yaml

from pipelines.kubeflow.compile_pipeline import compile_pipeline
from pipelines.placement.place_tasks import TASK_LABEL
from pipelines.placement.placement import Placement
from pipelines.study.recipe import StudyRecipe
from tests.unit.pipelines.test_study_plan import read

PLACEMENT = {
    "jobs": {"train": {"launcher": "TrainJob"}},
    "pods": {"secrets": {"AWS_SECRET_ACCESS_KEY": {"secret": "s3", "key": "secret-key"}}},
}


def study(folder: Path) -> StudyRecipe:
    return read(folder, arms=[{"chain": "sft@2"}, {"chain": "sft@1"}, {"chain": "sft@1 -> dpo@1"}])


def compiled(recipe: StudyRecipe, folder: Path) -> list[Any]:
    compile_pipeline(recipe, folder / "study.yaml")
    return list(yaml.safe_load_all((folder / "study.yaml").read_text()))


def tasks_in(pipeline: dict[str, Any], group: str) -> dict[str, Any]:
    """The tasks of a group by the names that people see."""
    return {task["taskInfo"]["name"]: task for task in pipeline["components"][group]["dag"]["tasks"].values()}


def values(task: dict[str, Any]) -> dict[str, Any]:
    return {name: item.get("runtimeValue", {}).get("constant") for name, item in task["inputs"]["parameters"].items()}


def test_the_analysis_runs_once_all_others_have_ended_in_any_way(tmp_path: Path) -> None:
    pipeline, *_ = compiled(study(tmp_path), tmp_path)
    root = pipeline["root"]["dag"]["tasks"]
    assert root["ending"]["triggerPolicy"]["strategy"] == "ALL_UPSTREAM_TASKS_COMPLETED"
    assert root["ending"]["dependentTasks"] == ["exit-handler-1"] and set(root) == {"ending", "exit-handler-1"}
    last, others = tasks_in(pipeline, "comp-ending"), tasks_in(pipeline, "comp-exit-handler-1")
    assert list(last) == ["analyse"]
    given = values(last["analyse"])
    assert given["evaluations"]["base/-/-/test"] == "task:evaluate-base-test"
    named = {value.removeprefix("task:") for value in given["evaluations"].values()}
    assert named == {name for name in others if name.startswith("evaluate-")}, "the arms are all that is evaluated"
    assert [arm["name"] for arm in given["settings"]["arms"]] == ["sft2-all", "sft1-all", "sft1-dpo1-all"]
    assert given["settings"]["arms"][2]["stages"] == ["sft", "dpo"]


def test_a_stage_takes_the_chosen_model_and_a_shorter_training_follows_the_longer(tmp_path: Path) -> None:
    pipeline, *_ = compiled(study(tmp_path), tmp_path)
    group = pipeline["components"]["comp-exit-handler-1"]["dag"]["tasks"]
    names = {key: task["taskInfo"]["name"] for key, task in group.items()}
    tasks = tasks_in(pipeline, "comp-exit-handler-1")

    def needs(name: str) -> set[str]:
        return {names[key] for key in tasks[name]["dependentTasks"]}

    assert needs("train-sft1-dpo1-all-r1-s7") == {"select", "choose-sft1-all-s7"}
    assert needs("train-sft1-all-r2-s0") == {"select", "train-sft2-all-r2-s0"}
    assert needs("evaluate-sft2-all-s7-test") == {"collect", "choose-sft2-all-s7"}
    sweep = {f"evaluate-sft1-all-r{rate}-s{seed}" for rate in (1, 2, 3) for seed in (0, 7)}
    assert needs("choose-sft1-all-s0") == sweep, "a choice needs the complete sweep"


def test_on_a_cluster_the_end_also_cleans_up_and_is_placed(tmp_path: Path) -> None:
    placement = Placement.model_validate(PLACEMENT)
    recipe = study(tmp_path).model_copy(update={"placement": placement, "store": "s3://bucket/study"})
    pipeline, platform = compiled(recipe, tmp_path)
    assert set(tasks_in(pipeline, "comp-ending")) == {"analyse", "clean-up"}
    kubernetes = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    analyse = kubernetes["exec-analyse"]
    assert analyse["podMetadata"]["labels"][TASK_LABEL] == "analyse"
    assert analyse["secretAsEnv"][0]["secretName"] == "s3" and analyse["fieldPathAsEnv"][0]["name"] == "TUTELAGE_RUN"
    training = values(tasks_in(pipeline, "comp-exit-handler-1")["train-sft1-dpo1-all-r3-s7"])["settings"]
    assert training["launch"]["slots"] == {"group": "study-demo", "count": 4}
    assert (training["seed"], training["method"]) == (7, "dpo")
