"""`tutelage plan`: what a person sees before anything is started, and what is refused with file and line."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from huggingface_hub import constants
from typer.testing import CliRunner, Result

from components.launch.job import Launch
from components.registry import STEPS
from components.shared.outputs.library import Library
from components.shared.outputs.manifest import Manifest, Parent
from components.shared.outputs.output import Output
from components.shared.rows import Message, Scores, SftRow
from components.shared.settings import Settings
from pipelines.cli.main import app
from pipelines.plan.check_groups import check_groups
from pipelines.recipe.read_recipe import read_recipe
from pipelines.registry import tasks_of

HERE = Path(__file__).parent
ROOT = HERE.parents[3]
RECIPES = ROOT / "pipelines" / "recipes"
QWEN, DEMO, STUDY = (RECIPES / name for name in ("qwen2-0.5b-8gpu.yaml", "demo.yaml", "study-demo.yaml"))
TWO_KINDS, CONFIG, GOLDEN = HERE / "two-kinds.yaml", HERE / "qwen2-0.5b-config.json", HERE / "qwen2-0.5b-two-kinds.txt"
UNEQUAL = """
jobs:
  train:
    launcher: JobSet
    groups:
      - {nodes: 1, accelerator: CPU, memory: 8G, speed: 2000}
      - {nodes: 1, accelerator: CPU, memory: 8G, speed: 1000}
"""


@pytest.fixture(autouse=True)
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without a hub or a cache of it, and a wide terminal; paths are relative to the repository."""
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("COLUMNS", "140")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))


def shown(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["plan", *map(str, arguments)])


def planned(*arguments: str | Path) -> dict[str, Any]:
    result = shown(*arguments, "--json")
    assert result.exit_code == 0, result.output
    document: dict[str, Any] = json.loads(result.stdout)
    return document


def refusal(*arguments: str | Path, command: str = "plan") -> str:
    result = CliRunner().invoke(app, [command, *map(str, arguments)])
    assert result.exit_code
    return str(result.exception)


def placed(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "placement.yaml"
    path.write_text(text)
    return path


def test_the_plan_of_two_kinds_of_gpus_is_as_recorded() -> None:
    relative = [path.relative_to(ROOT) for path in (QWEN, TWO_KINDS, CONFIG)]
    result = shown(relative[0], "--placement", relative[1], "--config", relative[2], "--rows", "20000")
    assert result.exit_code == 0, result.output
    if os.environ.get("TUTELAGE_UPDATE_GOLDEN"):
        GOLDEN.write_text(result.stdout)
    assert result.stdout == GOLDEN.read_text(), "accept an intended change with TUTELAGE_UPDATE_GOLDEN=1"


def test_json_has_both_splits_with_their_time_and_cost() -> None:
    document = planned(QWEN, "--placement", TWO_KINDS, "--config", CONFIG, "--rows", "20000", "--tokens", "256")
    sft, kto = document["trainings"]
    assert (sft["tasks"], kto["tasks"]) == (["train-sft"], ["train-kto", "train-sft-kto"])
    assert (sft["steps"], sft["rows"], sft["row_tokens"]) == (3 * 625, 20_000, 256)
    even, balanced = sft["splits"]
    assert [len(split["plan"]["groups"]) for split in (even, balanced)] == [2, 2]
    assert even["seconds"] > balanced["seconds"] and even["device_hours"] == pytest.approx(8 * even["seconds"] / 3600)
    # Two H100 at 4 an hour, six A10 at 1.
    assert even["costs"] == [{"amount": pytest.approx(14 * even["seconds"] / 3600), "currency": "USD"}]
    assert "global_batch is 128 or more" in kto["splits"][1]["refused"] and kto["splits"][1]["plan"] is None


def test_a_part_of_the_prices_gives_no_cost(tmp_path: Path) -> None:
    path = placed(tmp_path, TWO_KINDS.read_text().replace("        price: {per_hour: 1}\n", ""))
    given = (QWEN, "--placement", path, "--config", CONFIG, "--rows", "20000")
    even = planned(*given)["trainings"][0]["splits"][0]
    assert (even["costs"], even["unpriced"]) == ([], ["A10"])
    assert "device hours, cost not known: no price for A10" in shown(*given).stdout


def test_measured_speeds_of_groups_decide_shares_and_time(tmp_path: Path) -> None:
    document = planned(DEMO, "--placement", placed(tmp_path, UNEQUAL), "--rows", "1000", "--tokens", "100")
    even, balanced = document["trainings"][0]["splits"]
    assert [group["devices"] for group in even["plan"]["groups"]] == ["CPU (1)", "CPU (2)"]
    # 16 rows of 100 tokens a step: 8 and 8, or 11 and 5 (10 and 6 would end later).
    assert [group["seconds"] for group in even["plan"]["groups"]] == pytest.approx([0.4, 0.8])
    assert [group["tokens"] for group in balanced["plan"]["groups"]] == [1100, 500]
    assert balanced["plan"]["computing_seconds"] == pytest.approx(0.55) and balanced["costs"] == []


def staged_recipe(tmp_path: Path, stages: str, **values: str) -> Path:
    """The demo's study, whose trainings have these stages."""
    path = tmp_path / "recipe.yaml"
    lines = "".join(f"      {name}: {value}\n" for name, value in {"stages": stages, **values}.items())
    path.write_text(STUDY.read_text().replace("      launch:", f"{lines}      launch:"))
    return path


def test_stages_of_a_recipe_are_planned_evenly_balanced_and_as_they_are_listed(tmp_path: Path) -> None:
    recipe = staged_recipe(tmp_path, "{layers: [2, 1], micro_batches: 8}")
    groups = "groups: [{nodes: 1, accelerator: H100}, {nodes: 1, accelerator: A10, price: {per_hour: 1}}]"
    path = placed(tmp_path, f"jobs: {{train: {{launcher: JobSet, {groups}}}}}\n")
    training = planned(recipe, "--placement", path)["trainings"][0]
    stages = training["stages"]
    assert (training["chosen"], stages["asked"]) == ("stages", "the recipe has stages")
    found = [(each["layout"]["split"], each["layout"]["pipelines"]) for each in stages["layouts"]]
    assert found == [("even", 1), ("balanced", 1), ("given", 1)]
    assert found[stages["chosen"]] == ("given", 1)
    assert all(split["plan"] for split in training["splits"]), "data parallelism is beside them"
    printed = shown(recipe, "--placement", path).stdout
    assert "1 pipeline of 2 stages, given (as the recipe has it): 1f1b, 8 micro-batches of " in printed
    assert "even (as the recipe has it)" not in printed
    assert "cost not known: no price for H100" in printed


def test_several_pipelines_are_compared_with_data_parallelism(tmp_path: Path) -> None:
    job = "launcher: TrainJob, processes_per_node: 2, nodes: 4, pods: {gpus: 2}"
    path = placed(tmp_path, f"jobs: {{train: {{{job}}}}}\n")
    given = (QWEN, "--placement", path, "--accelerator", "H100", "--config", CONFIG, "--rows", "20000")
    stages = planned(*given)["trainings"][0]["stages"]
    layouts = [each["layout"] for each in stages["layouts"]]
    assert sorted({(layout["pipelines"], len(layout["stages"])) for layout in layouts}) == [(1, 8), (2, 4), (4, 2)]
    times = [layout["computing_seconds"] + layout["reduce_seconds"] for layout in layouts]
    assert stages["best"] == times.index(min(times)) and layouts[stages["best"]]["split"] == "balanced"
    best = layouts[stages["best"]]["pipelines"]
    assert f"best: {best} pipeline" in stages["why"]
    assert stages["chosen"] is None and "set stages" not in stages["why"], "data parallelism is faster"


def test_pipelines_that_a_plan_proposes_are_what_a_recipe_with_them_runs(tmp_path: Path) -> None:
    job = "launcher: TrainJob, processes_per_node: 2, nodes: 4, pods: {gpus: 2}"
    path = placed(tmp_path, f"jobs: {{train: {{{job}}}}}\n")
    recipe = tmp_path / "recipe.yaml"

    def with_stages(stages: str) -> dict[str, Any]:
        recipe.write_text(re.sub("( +)launch: .*", rf"\g<0>\n\1stages: {stages}", QWEN.read_text(), count=1))
        given = ("--placement", path, "--accelerator", "H100", "--config", CONFIG, "--rows", "20000")
        found: dict[str, Any] = planned(recipe, *given)["trainings"][0]["stages"]
        return found

    proposed = with_stages("{micro_batches: 32}")
    best = proposed["layouts"][proposed["best"]]
    assert (best["layout"]["pipelines"], best["layout"]["micro_batches"]) == (2, 16)
    (setting,) = re.findall(r"set stages: ({.*?}) to train in 2 pipelines", proposed["why"])
    again = with_stages(setting)
    assert again["layouts"][again["chosen"]] == best and again["chosen"] == again["best"]
    assert "set stages" not in again["why"]


def test_a_card_that_cannot_hold_the_model_gets_the_layers_that_it_can(tmp_path: Path) -> None:
    groups = "[{nodes: 1, accelerator: A10, memory: 6G},\n      {nodes: 1, accelerator: H100}]"
    text = f"jobs:\n  train:\n    launcher: JobSet\n    groups: {groups}\n"
    given = (QWEN, "--config", CONFIG, "--rows", "20000", "--placement")
    sft, kto = planned(*given, placed(tmp_path, text))["trainings"]
    assert not any(group["fits"] for group in sft["splits"][0]["plan"]["groups"] if group["devices"] == "A10")
    assert sft["stages"]["asked"] == "A10 cannot hold the training with data parallelism"
    best = sft["stages"]["layouts"][sft["stages"]["best"]]["layout"]
    assert best["split"] == "balanced" and best["stages"][0]["layers"] < best["stages"][1]["layers"]
    assert all(stage["fits"] for stage in best["stages"])
    for part in ("data parallelism does not fit", "set stages: {micro_batches: 8} to train in one pipeline"):
        assert part in sft["stages"]["why"]
    # KTO also reads the mismatched responses.
    assert kto["stages"]["layouts"][1]["layout"]["computing_seconds"] > 1.2 * best["computing_seconds"]
    # Not even the weights of data parallelism: stages hold it still.
    smaller = planned(*given, placed(tmp_path, text.replace("6G", "4G")))["trainings"][0]["stages"]
    assert smaller["layouts"][smaller["best"]]["layout"]["stages"][0]["layers"] < best["stages"][0]["layers"]


def test_stages_that_groups_cannot_hold_are_refused_with_their_line(tmp_path: Path) -> None:
    recipe = staged_recipe(tmp_path, "{micro_batches: 4}")
    groups = "[{nodes: 1, accelerator: H100}, {nodes: 1, accelerator: T4, memory: 1M}]"
    path = placed(tmp_path, f"jobs:\n  train:\n    launcher: JobSet\n    groups: {groups}\n")
    said = refusal(recipe, "--placement", path)
    assert f"{path}:4: jobs.train.groups: these groups cannot hold the stages of train-" in said
    assert "would need 0.0 GiB, and 0.0 GiB are usable" in said
    assert "rule: each stage holds" in said and "remedy: add nodes" in said


def test_equal_nodes_are_planned_with_their_label_or_a_named_accelerator(tmp_path: Path) -> None:
    job = (
        "launcher: TrainJob, processes_per_node: 2, pods: {gpus: 2, node_selector: {nvidia.com/gpu.product: NVIDIA-L4}}"
    )
    labelled = planned(DEMO, "--placement", placed(tmp_path, f"jobs: {{train: {{{job}}}}}\n"))
    named = planned(DEMO, "--accelerator", "T4")
    for document, name in ((labelled, "L4"), (named, "T4")):
        (group,) = document["trainings"][0]["splits"][0]["plan"]["groups"]
        assert (group["devices"], group["ranks"]) == (name, 2)
    bare = placed(tmp_path, "jobs: {train: {launcher: TrainJob, processes_per_node: 2, pods: {gpus: 2}}}\n")
    assert "allowed: H200, H100" in refusal(DEMO, "--placement", bare)


def test_given_speeds_of_equal_nodes_are_beside_the_fastest(tmp_path: Path) -> None:
    job = "launcher: TrainJob, processes_per_node: 2, speeds: [1, 0.5], pods: {gpus: 2}"
    path = placed(tmp_path, f"jobs: {{train: {{{job}}}}}\n")
    groups = planned(DEMO, "--placement", path, "--accelerator", "A10")["trainings"][0]["splits"][1]["plan"]["groups"]
    assert [group["devices"] for group in groups] == ["A10 at 1", "A10 at 0.5"]
    assert groups[0]["tokens_a_second"] == pytest.approx(2 * groups[1]["tokens_a_second"])
    assert [group["tokens"] for group in groups] == [11 * 256, 5 * 256]


def test_trainings_of_a_study_that_are_planned_alike_are_one() -> None:
    document = planned(STUDY, "--accelerator", "T4")
    names = [name for training in document["trainings"] for name in training["tasks"]]
    recipe = read_recipe(STUDY, check_files=False)
    assert sorted(names) == sorted(task.name for task in tasks_of(recipe) if task.step.name == "train")
    assert len(document["trainings"]) < len(names)


def test_a_group_that_cannot_hold_the_model_is_refused_with_its_line(tmp_path: Path) -> None:
    groups = "[{nodes: 1, accelerator: H100},\n      {nodes: 1, accelerator: T4, memory: 2G}]"
    path = placed(tmp_path, f"jobs:\n  train:\n    launcher: JobSet\n    groups: {groups}\n")
    said = refusal(QWEN, "--placement", path, "--config", CONFIG)
    assert f"{path}:5: jobs.train.groups.1: T4 with 1.9 GiB cannot hold the model of train-sft" in said
    for part in ("rule: every rank holds", "allowed: devices with ", "remedy: leave the group out"):
        assert part in said


@pytest.mark.parametrize(
    ("job", "settings", "said"),
    [
        ("processes_per_node: 3", "", "global_batch 16 is not divisible by the 6 ranks"),
        ("processes_per_node: 16", "      shares: speed\n", "global_batch 16 is too small for 32 ranks"),
        (
            "processes_per_node: 1",
            "      shares: speed\n      deepspeed: {stage: 3}\n",
            "shares 'speed' needs ZeRO stage 0, 1 or 2",
        ),
    ],
)
def test_settings_that_groups_do_not_fit_are_refused(tmp_path: Path, job: str, settings: str, said: str) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(STUDY.read_text().replace("      launch:", f"{settings}      launch:"))
    groups = "groups: [{nodes: 1, accelerator: H100}, {nodes: 1, accelerator: A10}]"
    path = placed(tmp_path, f"jobs:\n  train: {{launcher: JobSet, {job}, {groups}}}\n")
    assert said in refusal(recipe, "--placement", path)


def test_a_training_over_groups_is_compiled_with_a_warning_about_even_shares(tmp_path: Path) -> None:
    path, compiled = placed(tmp_path, f"image: a/b:1\n{UNEQUAL}"), tmp_path / "pipeline.yaml"
    given = (DEMO, "--placement", path, "--store", "s3://bucket/demo", "-o", compiled)
    result = CliRunner().invoke(app, ["compile", *map(str, given)])
    assert result.exit_code == 0, result.output
    assert "warning: train-sft gives the ranks of all groups equal shares" in result.stderr
    launches = [launch for launch in launches_in(compiled) if "groups" in launch]
    assert launches and all(launch["launcher"] == "JobSet" and len(launch["groups"]) == 2 for launch in launches)
    assert [Launch.model_validate(launch).processes for launch in launches] == [2] * len(launches)


def launches_in(compiled: Path) -> list[dict[str, Any]]:
    """The launches of a compiled pipeline's trainings, as their pods read them."""
    (pipeline, *_) = yaml.safe_load_all(compiled.read_text())
    found: list[dict[str, Any]] = []

    def look(value: Any) -> None:
        if isinstance(value, dict):
            found.extend(one for key, one in value.items() if key == "launch" and isinstance(one, dict))
            for one in value.values():
                look(one)
        elif isinstance(value, list):
            for one in value:
                look(one)

    look(pipeline)
    return found


@pytest.mark.parametrize("command", ["submit", "compile"])
def test_groups_that_cannot_hold_the_model_start_nothing(tmp_path: Path, command: str) -> None:
    path = placed(tmp_path, f"image: a/b:1\n{UNEQUAL}".replace("memory: 8G, speed: 1000", "memory: 1M, speed: 1000"))
    said = refusal(DEMO, "--placement", path, "--store", "s3://bucket/demo", command=command)
    assert "jobs.train.groups.1: CPU with 0.0 GiB cannot hold the model of train-sft" in said
    assert "allowed: devices with " in said


FEWER = """
jobs:
  train:
    launcher: JobSet
    pods: {gpus: 1, node_selector: {nvidia.com/gpu.product: NVIDIA-A10}}
    nodes: 8
    least_nodes: 2
"""


def test_the_plan_has_the_memory_of_the_fewest_nodes(tmp_path: Path) -> None:
    path = placed(tmp_path, FEWER)
    given = (QWEN, "--placement", path, "--config", CONFIG, "--rows", "20000")
    sft = planned(*given)["trainings"][0]
    all_nodes, fewest = sft["splits"][0]["plan"], sft["fewest"]["split"]["plan"]
    assert (sft["fewest"]["ranks"], fewest["groups"][0]["ranks"], all_nodes["groups"][0]["ranks"]) == (2, 2, 8)
    assert fewest["groups"][0]["state_bytes"] > all_nodes["groups"][0]["state_bytes"], "shards are larger"
    assert fewest["computing_seconds"] == pytest.approx(4 * all_nodes["computing_seconds"])
    assert "on the fewest nodes, 2 ranks (least_nodes):" in shown(*given).stdout
    assert planned(QWEN, "--placement", TWO_KINDS, "--config", CONFIG)["trainings"][0]["fewest"] is None


def test_a_training_in_stages_is_planned_on_the_fewest_nodes(tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(QWEN.read_text().replace("method: sft\n", "method: sft\n      stages: {micro_batches: 8}\n", 1))
    path = placed(tmp_path, FEWER)
    sft = planned(recipe, "--placement", path, "--config", CONFIG, "--rows", "20000")["trainings"][0]
    assert sft["fewest"]["split"] is None
    layouts = sft["fewest"]["stages"]["layouts"]
    assert len(layouts[sft["fewest"]["stages"]["chosen"]]["layout"]["stages"]) == 2


def test_fewest_nodes_that_cannot_hold_the_model_are_refused(tmp_path: Path) -> None:
    """Eight devices hold the optimizer's state of 494 million parameters that two cannot; all of them are A10."""
    config = tmp_path / "config.json"
    config.write_text(CONFIG.read_text().replace('"num_hidden_layers": 24', '"num_hidden_layers": 240'))
    said = refusal(QWEN, "--placement", placed(tmp_path, FEWER), "--config", config)
    assert "jobs.train.least_nodes: least_nodes lets train-sft continue on 2 processes, and there A10 with " in said
    assert "remedy: raise least_nodes, or leave it out" in said
    enough = placed(tmp_path, FEWER.replace("least_nodes: 2", "least_nodes: 8"))
    assert planned(QWEN, "--placement", enough, "--config", config)["trainings"]


def test_a_group_that_alone_cannot_hold_the_model_is_refused(tmp_path: Path) -> None:
    groups = UNEQUAL.replace("speed: 2000", "speed: 2000, least_nodes: 0")
    document = planned(DEMO, "--placement", placed(tmp_path, groups), "--rows", "100")
    assert document["trainings"][0]["fewest"]["ranks"] == 1
    said = refusal(DEMO, "--placement", placed(tmp_path, groups.replace("8G, speed: 1000", "20M, speed: 1000")))
    assert "jobs.train.groups" in said and "continue on 1 process" in said


def test_a_start_that_cannot_be_read_from_here_is_reported_as_not_checked() -> None:
    said: list[str] = []
    assert check_groups(read_recipe(QWEN, check_files=False, placement=TWO_KINDS), said.append) == []
    assert "not checked: the shape of 'Qwen/Qwen2-0.5B-Instruct' cannot be read" in said[-1]


def test_groups_are_for_trainings_and_for_placements(tmp_path: Path) -> None:
    groups = "groups: [{nodes: 1, accelerator: H100}]"
    path = placed(tmp_path, f"jobs:\n  synthesize:\n    launcher: JobSet\n    {groups}\n")
    assert f"{path}:4: jobs.synthesize.groups: synthesize is not a training" in refusal(DEMO, "--placement", path)
    recipe = tmp_path / "recipe.yaml"
    launch = f"launch: {{launcher: JobSet, {groups}}}"
    recipe.write_text(STUDY.read_text().replace("launch: {processes_per_node: 2}", launch))
    assert "a placement names them, a recipe does not" in refusal(recipe)


def test_a_model_that_cannot_be_read_is_named_with_the_remedy() -> None:
    said = refusal(QWEN, "--placement", TWO_KINDS)
    assert "the shape of 'Qwen/Qwen2-0.5B-Instruct' cannot be read" in said and "remedy: --config FILE" in said


def test_a_hub_models_config_in_the_local_cache_is_enough(tmp_path: Path) -> None:
    cached = tmp_path / "hub" / "models--Qwen--Qwen2-0.5B-Instruct"
    (cached / "snapshots" / "0a").mkdir(parents=True)
    (cached / "snapshots" / "0a" / "config.json").write_bytes(CONFIG.read_bytes())
    (cached / "refs").mkdir()
    (cached / "refs" / "main").write_text("0a")
    sft = planned(QWEN, "--placement", TWO_KINDS)["trainings"][0]
    assert sft["parameters"] == 494_032_768 and sft["start_from"].endswith("snapshots/0a/config.json alone")


def test_rows_are_those_of_the_recipes_own_selection(tmp_path: Path) -> None:
    store = tmp_path / "store"
    recipe = read_recipe(DEMO, check_files=False, store=str(store))
    made = {task.step.name: task.settings for task in tasks_of(recipe) if task.settings is not None}
    of_another = made["curate"].model_copy(update={"rare_below": 777})
    ours = _select(store, made, made["curate"], rows=40, letters=80)
    _select(store, made, of_another, rows=7, letters=800)
    sft = planned(DEMO, "--accelerator", "T4", "--store", store)["trainings"][0]
    assert (sft["rows"], sft["row_tokens"]) == (40, 20)
    assert sft["rows_from"] == f"rows of {ours.address}, tokens by 4 characters each in its first rows"
    given = planned(DEMO, "--accelerator", "T4", "--store", store, "--rows", "9", "--tokens", "7")["trainings"][0]
    assert (given["rows"], given["row_tokens"], given["rows_from"]) == (9, 7, "rows given, tokens given")


def _select(store: Path, made: dict[str, Settings], curate: Settings, *, rows: int, letters: int) -> Manifest:
    """A selection with rows of so many letters, after the steps before it."""
    library, inputs = Library(str(store)), dict[str, Manifest | Parent]()
    for name in ("collect", "curate", "synthesize", "select"):
        product = next(iter(STEPS[name].outputs.values()))
        output = Output(library, product, curate if name == "curate" else made[name], inputs)
        with output.writing():
            if name == "select":
                prompt = (Message(role="user", content="p" * (letters // 2)),)
                text = "c" * (letters - letters // 2)
                row = SftRow(id="1", prompt=prompt, completion=text, origin="teacher", scores=Scores())
                output.adopt(output.write_rows("sft/00000", [row] * rows))
            else:
                output.write_json(f"{name}.json", curate.model_dump(mode="json"))
            manifest = output.finish()
        inputs = {"before": manifest}
    return manifest


def test_a_plan_is_made_without_torch() -> None:
    probe = (
        "import sys; from pipelines.cli.main import app\n"
        f"app(['plan', {str(DEMO)!r}, '--accelerator', 'T4', '--json'], standalone_mode=False)\n"
        "print(sorted({'torch', 'transformers', 'ray', 'deepspeed'} & sys.modules.keys()), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True, timeout=120)
    assert done.stderr.splitlines()[-1] == "[]"
