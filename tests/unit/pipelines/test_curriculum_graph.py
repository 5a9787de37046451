"""The compiled curriculum: what each task gets, and what judges the models."""

from typing import Any

import pytest
import yaml

from pipelines.kubeflow.compile_pipeline import compile_pipeline
from tests.unit.pipelines.test_curriculum_plan import read


@pytest.fixture(scope="module")
def tasks(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The tasks by the names that people see; their inputs name tasks in the same way."""
    folder = tmp_path_factory.mktemp("compiled")
    recipe = read(folder, critique={}, compare={"baselines": ["sft_grpo"], "resamples": 200})
    compile_pipeline(recipe, folder / "curriculum.yaml")
    pipeline = next(yaml.safe_load_all((folder / "curriculum.yaml").read_text()))
    found = pipeline["root"]["dag"]["tasks"]
    names = {key: task["taskInfo"]["name"] for key, task in found.items()}
    return {names[key]: _inputs(task, names) for key, task in found.items()}


def _inputs(task: dict[str, Any], names: dict[str, str]) -> dict[str, Any]:
    given = task.get("inputs", {})
    values: dict[str, Any] = {}
    for name, value in given.get("artifacts", {}).items():
        source = value["taskOutputArtifact"]
        values[name] = (names[source["producerTask"]], source["outputArtifactKey"])
    for name, value in given.get("parameters", {}).items():
        if "taskOutputParameter" in value:
            values[name] = names[value["taskOutputParameter"]["producerTask"]]
        else:
            values[name] = value.get("componentInputParameter", value.get("runtimeValue", {}).get("constant"))
    return values


def test_a_round_passes_rows_as_artifacts_and_models_by_reference(tasks: dict[str, Any]) -> None:
    probe = tasks["probe-round-2"]
    assert (probe["problems"], probe["model"]) == (("curate", "dataset"), "train-round-1-rl")
    assert tasks["probe-round-1"]["model"] == tasks["evaluate-base"]["model"] == "student"
    assert tasks["route-round-2"]["probed"] == ("probe-round-2", "probed")
    bridge = tasks["bridge-round-2"]
    assert (bridge["routed"], bridge["probed"]) == (("route-round-2", "routed"), ("probe-round-2", "probed"))
    assert bridge["student"] == "train-round-1-rl"
    assert tasks["critique-round-2"]["bridged"] == ("bridge-round-2", "bridged")
    taught = tasks["train-round-2-sft"]
    assert (taught["dataset"], taught["start"]) == (("critique-round-2", "critiqued"), "train-round-1-rl")
    reinforced = tasks["train-round-2-rl"]
    assert (reinforced["dataset"], reinforced["start"]) == (("route-round-2", "routed"), "train-round-2-sft")
    assert reinforced["settings"]["when_empty"] == taught["settings"]["when_empty"] == "pass_through"
    assert reinforced["settings"]["method"] == "grpo"


def test_the_baselines_do_not_route(tasks: dict[str, Any]) -> None:
    assert tasks["route-all"]["settings"]["by"]["policy"] == "all"
    assert tasks["bridge-all"]["routed"] == ("route-all", "routed")
    assert tasks["train-sft-grpo-sft"]["dataset"] == ("bridge-all", "bridged")
    assert tasks["train-sft-grpo"]["dataset"] == ("route-all", "routed")
    assert tasks["train-sft-grpo"]["start"] == "train-sft-grpo-sft"


def test_a_baseline_may_spend_what_the_rounds_spent(tasks: dict[str, Any]) -> None:
    for baseline, part in (("train-sft-grpo-sft", "sft"), ("train-sft-grpo", "rl")):
        given = tasks[baseline]
        named = {value for name, value in given.items() if name.startswith("pipelinechannel--")}
        assert len(given["budget"]) == 2
        assert named - {given["start"]} == {f"train-round-{number}-{part}" for number in (1, 2)}
    assert tasks["train-round-1-sft"]["budget"] == []


def test_every_model_is_a_row_of_one_comparison_in_the_order_of_the_rounds(tasks: dict[str, Any]) -> None:
    models = [f"round-{number}-{part}" for number in (1, 2) for part in ("sft", "rl")] + ["sft-grpo-sft", "sft-grpo"]
    evaluated = {name.removeprefix("evaluate-") for name in tasks if name.startswith("evaluate-")}
    assert evaluated == {"base", *models}
    assert all(tasks[f"evaluate-{name}"]["model"] == f"train-{name}" for name in models)
    assert set(tasks["compare"]["evaluations"]) == {"base", *models}
    assert tasks["compare"]["settings"] == {"resamples": 200}, "baselines are models like all others to it"
    assert tasks["publish"]["settings"]["order"] == models
