"""What a study plans: names, shared trainings, choices and keys; and which arms are refused."""

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml

from components.adopt.settings import AdoptSettings
from components.launch.slots import JobSlots
from components.shared.errors import SettingsError
from components.train.settings import TrainSettings
from pipelines.recipe.move_jobs import move_jobs
from pipelines.recipe.read_recipe import read_recipe
from pipelines.registry import task_names, tasks_of
from pipelines.study.chains import ChainStage, parse_chain
from pipelines.study.plan import PlannedChoice, PlannedEvaluation, PlannedTraining, StudyPlan, plan_study
from pipelines.study.recipe import StudyRecipe

DEMO = Path(__file__).parents[3] / "pipelines" / "recipes" / "study-demo.yaml"
RATES = {"all": [1e-4, 1e-3, 1e-2], "lora": [1e-3, 1e-2, 1e-1]}


def read(folder: Path, **changes: Any) -> StudyRecipe:
    """The demo's study with these arms: one list, two seeds."""
    recipe = copy.deepcopy(yaml.safe_load(DEMO.read_text()))
    del recipe["grid"]
    recipe["seeds"] = [0, 7]
    for method in recipe["methods"].values():
        method["learning_rates"] = RATES
    recipe.update(changes)
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump(recipe, sort_keys=False))
    found = read_recipe(path)
    assert isinstance(found, StudyRecipe)
    return found


def planned(folder: Path, *chains: str, **changes: Any) -> StudyPlan:
    return plan_study(read(folder, arms=[{"chain": chain} for chain in chains], **changes))


def trainings(plan: StudyPlan) -> dict[str, PlannedTraining]:
    return {work.name: work for work in plan.works if isinstance(work, PlannedTraining)}


def refusal(folder: Path, **changes: Any) -> str:
    with pytest.raises(SettingsError) as caught:
        read(folder, **changes)
    return str(caught.value)


@pytest.mark.parametrize("text", ["sft@9 -> dpo@6", "sft@9→dpo@6", " sft@9  ->dpo@6 "])
def test_a_chain_is_read(text: str) -> None:
    chain = parse_chain(text)
    assert chain.stages == (ChainStage("sft", 9), ChainStage("dpo", 6))
    assert (str(chain), chain.slug, str(chain.prefix)) == ("sft@9 -> dpo@6", "sft9-dpo6", "sft@9")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "'' is not a stage"),
        ("sft@0", "'sft@0' is not a stage"),
        ("sft@3 dpo@2", "'sft@3 dpo@2' is not a stage"),
        ("sft@3 ->", "'' is not a stage"),
        ("sft@3 > dpo@2", "is not a stage"),
        ("sft -> dpo@2", "'sft' lacks its epochs, as in sft@3"),
        ("SFT@3", "'SFT@3' is not a stage"),
    ],
)
def test_what_is_not_a_chain_is_refused_with_the_form(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=r"epochs|METHOD@EPOCHS") as caught:
        parse_chain(text)
    assert problem in str(caught.value)


def test_epochs_of_one_training_are_trained_once(tmp_path: Path) -> None:
    found = trainings(planned(tmp_path, "sft@2", "sft@5"))
    long, short = (found[f"train-sft{epochs}-all-r2-s7"] for epochs in (5, 2))
    assert (long.settings.epochs, long.settings.stop_after_epochs, long.settings.hand_over_epochs) == (5, None, (2,))
    assert short.after == long.name and not long.after
    assert short.settings.key_material() == long.settings.ending_after(2).key_material(), "it finds the model"
    assert {one.settings.seed for one in found.values()} == {0, 7}
    assert {one.settings.learning_rate for one in found.values()} == {1e-4, 1e-3, 1e-2}
    assert len(found) == 2 * 3 * 2


def test_a_rate_that_only_the_shorter_arm_tries_has_a_training_of_its_own(tmp_path: Path) -> None:
    arms = [{"chain": "sft@5"}, {"chain": "sft@2", "learning_rates": [1e-3, 1e-2, 0.02]}]
    found = trainings(plan_study(read(tmp_path, arms=arms)))
    own = found["train-sft2-all-r3-s0"]
    assert own.settings.learning_rate == 0.02 and not own.after
    assert (own.settings.epochs, own.settings.stop_after_epochs) == (5, 2), "on the schedule of the other rates"
    assert found["train-sft2-all-r1-s0"].after == "train-sft5-all-r2-s0", "1e-3 is the longer arm's second rate"
    assert found["train-sft5-all-r1-s0"].settings.hand_over_epochs == ()


def test_a_later_stage_starts_from_the_chosen_model_of_its_seed(tmp_path: Path) -> None:
    plan = planned(tmp_path, "sft@2 -> dpo@1", "dpo@1")
    later = trainings(plan)["train-sft2-dpo1-all-r1-s7"]
    assert later.start == "choose-sft2-all-s7" and isinstance(later.settings, TrainSettings)
    assert trainings(plan)["train-dpo1-all-r1-s7"].start == ""
    (choice,) = (work for work in plan.works if work.name == "choose-sft2-all-s7")
    assert isinstance(choice, PlannedChoice) and choice.seed == 7
    assert choice.evaluations["0.001/0"] == "evaluate-sft2-all-r2-s0"
    names = [work.name for work in plan.works]
    assert names.index(choice.name) < names.index(later.name), "each after what it needs"


def test_only_chosen_models_meet_the_questions_that_judge(tmp_path: Path) -> None:
    plan = planned(tmp_path, "sft@2 -> dpo@1")
    asked = [work for work in plan.works if isinstance(work, PlannedEvaluation)]
    tests = [work for work in asked if work.settings.part == "test"]
    assert {work.model for work in tests} == {"", "choose-sft2-dpo1-all-s0", "choose-sft2-dpo1-all-s7"}
    assert {work.settings.part for work in asked if work not in tests} == {"validation"}
    assert {work.settings.validation_share for work in asked} == {0.4}
    keys = set(plan.evaluations)
    assert {"base/-/-/validation", "base/-/-/test", "sft2-dpo1-all/0.0001/0/validation"} <= keys
    assert not any(key.startswith("sft2-all") for key in keys), "a stage that is no arm only serves the choice"
    assert len(keys) == 2 + 3 * 2 + 2


def test_a_grid_is_every_combination(tmp_path: Path) -> None:
    grid = {"chains": ["sft@1", "dpo@1"], "weights": ["all", {"lora": {"rank": 4}}]}
    plan = plan_study(read(tmp_path, grid=grid))
    assert [one.name for one in plan.points if one.is_arm] == ["sft1-all", "sft1-lora4", "dpo1-all", "dpo1-lora4"]
    lora = trainings(plan)["train-dpo1-lora4-r3-s0"].settings
    assert lora.lora is not None and lora.lora.rank == 4 and lora.learning_rate == 0.1


def test_adapters_and_all_weights_share_no_training(tmp_path: Path) -> None:
    grid = {"chains": ["sft@1", "sft@2"], "weights": ["all", {"lora": {"rank": 4}}]}
    found = trainings(plan_study(read(tmp_path, grid=grid)))
    assert {one.after.split("-")[2] for one in found.values() if one.after} == {"all", "lora4"}
    assert all(one.name.split("-")[2] == one.after.split("-")[2] for one in found.values() if one.after)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({}, ["there is no arm", "grid: {chains:"]),
        ({"arms": [{"chain": "sft@1 -> grpo@2"}]}, ["arms.0: ", "unknown method 'grpo'", "allowed: sft, dpo"]),
        ({"arms": [{"chain": "sft@x"}]}, ["arms.0.chain", "METHOD@EPOCHS"]),
        ({"arms": [{"chain": "sft"}]}, ["lacks its epochs", "compute.match", "write sft@3"]),
        ({"arms": [{"chain": "sft@1"}, {"chain": "sft@1"}]}, ["is the arm 'sft1-all' already"]),
        ({"arms": [{"chain": "sft@1", "name": "base"}]}, ["reserved for the student"]),
        ({"arms": [{"chain": "sft@1", "name": "x"}, {"chain": "dpo@1", "name": "x"}]}, ["'x' is the name of 2 arms"]),
        (
            {"arms": [{"chain": "sft@1", "learning_rates": [1e-4, 1e-3]}]},
            ["sft1-all tries 2 learning rates", "at least 3, and the same number", "list 3 in"],
        ),
        (
            {"arms": [{"chain": "sft@1"}, {"chain": "dpo@1", "learning_rates": [1e-5, 1e-4, 1e-3, 1e-2]}]},
            ["the same number for every arm", "the better tuned one wins"],
        ),
        ({"arms": [{"chain": "sft@1", "learning_rates": [1e-4, 1e-4, 1e-3]}]}, ["a learning rate is listed twice"]),
        ({"arms": [{"chain": "sft@1"}], "seeds": [1, 1]}, ["seed 1 is there already"]),
        ({"arms": [{"chain": "sft@1"}], "test": {"benchmarks": ["other"]}}, ["test.benchmarks.0", "allowed: demo"]),
        ({"arms": [{"chain": "sft@1"}], "validation": {"benchmark": "gsm8k"}}, ["'gsm8k' is not evaluated"]),
        (
            {"arms": [{"chain": "sft@1"}], "placement": {"jobs": {"train-sft1-all-r1-s0": {"launcher": "TrainJob"}}}},
            ["is one training of many", "allowed: synthesize, train"],
        ),
    ],
)
def test_a_recipe_that_would_mislead_is_refused(tmp_path: Path, changes: dict[str, Any], told: list[str]) -> None:
    text = refusal(tmp_path, **changes)
    assert all(part in text for part in told), text


def test_what_the_study_decides_is_refused_in_a_methods_settings(tmp_path: Path) -> None:
    methods = {"sft": {"settings": {"method": "sft", "epochs": 3, "seed": 1}, "learning_rates": RATES}}
    text = refusal(tmp_path, methods=methods, arms=[{"chain": "sft@1"}])
    assert "methods.sft.settings.epochs" in text and "methods.sft.settings.seed" in text and "2 faults" in text


def test_adapters_of_one_rank_need_names(tmp_path: Path) -> None:
    lora = [{"lora": {"rank": 4, "alpha": alpha}} for alpha in (8, 16)]
    assert "would name two things" in refusal(tmp_path, grid={"chains": ["sft@1"], "weights": lora})
    lora[1] = {"name": "wide", **lora[1]}
    plan = plan_study(read(tmp_path, grid={"chains": ["sft@1"], "weights": lora}))
    assert [one.name for one in plan.points] == ["sft1-lora4", "sft1-wide"]


MATCHED = {"match": "tokens", "arm": "sft6-all", "tokens_per_epoch": {"sft": 1.0, "dpo": 2.0}}


def test_epochs_follow_from_the_compute_that_is_matched(tmp_path: Path) -> None:
    plan = planned(tmp_path, "sft@6", "dpo", "sft@2 -> dpo", compute=MATCHED)
    assert [str(one.point.chain) for one in plan.points if one.is_arm] == ["sft@6", "dpo@3", "sft@2 -> dpo@2"]


def test_adapters_get_more_epochs_for_the_same_operations(tmp_path: Path) -> None:
    """6 operations a token with all weights, 4 with adapters: 9 epochs for 6."""
    arms = [{"chain": "sft@6"}, {"chain": "sft", "weights": {"lora": {"rank": 4}}}]
    compute = {**MATCHED, "match": "flops"}
    plan = plan_study(read(tmp_path, arms=arms, compute=compute))
    assert {str(one.point.chain) for one in plan.points} == {"sft@6", "sft@9"}


def test_references_count_as_operations(tmp_path: Path) -> None:
    """DPO: 2 tokens by 6 operations an epoch, and 2 by 2 once for the reference; SFT: 6 an epoch."""
    compute = {**MATCHED, "match": "flops", "arm": "dpo3-all", "tolerance": 0.2}
    plan = planned(tmp_path, "dpo@3", "sft", compute=compute)
    assert {str(one.point.chain) for one in plan.points} == {"dpo@3", "sft@7"}, "(3 * 12 + 4) / 6 = 6.7"


DATA = ("collect", "curate", "synthesize", "select")
ARMS = [{"chain": "sft@1"}, {"chain": "sft@1 -> dpo@1"}]


def without(folder: Path, *sections: str, **changes: Any) -> Path:
    """The demo's study without these sections, as a file."""
    recipe = yaml.safe_load(DEMO.read_text())
    for section in (*sections, "grid"):
        del recipe[section]
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump({**recipe, "arms": ARMS, **changes}, sort_keys=False))
    return path


def test_a_selection_that_is_there_takes_the_place_of_all_data_steps(tmp_path: Path) -> None:
    recipe = read_recipe(without(tmp_path, *DATA, rows="select/0123456789abcdef"))
    names = task_names(recipe)
    assert names[0] == "adopt" and not set(DATA) & set(names) and "train-sft1-all-r1-s0" in names
    settings = tasks_of(recipe)[0].settings
    assert isinstance(settings, AdoptSettings) and settings.benchmarks == ("demo",)
    assert (settings.parts["sft"], settings.parts["pairs"], settings.parts["kto"]) == (("sft",), ("dpo",), ())


def test_a_selection_in_another_store_is_looked_for_before_anything_starts(tmp_path: Path) -> None:
    recipe = read_recipe(without(tmp_path, *DATA, rows="s3://other/store/select/0123456789abcdef"))
    assert task_names(recipe)[0] == "adopt"
    missing = without(tmp_path, *DATA, rows=f"{tmp_path}/store/select/0123456789abcdef")
    with pytest.raises(SettingsError, match=r"no such file or folder .looked for .*store/select/0123456789abcdef"):
        read_recipe(missing)


def test_rows_as_they_are_need_sources_alone(tmp_path: Path) -> None:
    recipe = read_recipe(without(tmp_path, *DATA[1:], rows="as-given"))
    assert task_names(recipe)[:5] == [*DATA, "adopt"]
    settings = {task.name: task.settings for task in tasks_of(recipe)[:4]}
    assert settings["curate"].labeller == "rules" and settings["synthesize"].origins == ("original",)


@pytest.mark.parametrize(
    ("left_out", "rows", "told"),
    [
        (("curate",), "", ["curate is missing", "as-given, or the address of a selection"]),
        (DATA, "as-given", ["collect is missing"]),
        (
            ("curate",),
            "select/0123456789abcdef",
            ["nothing would read collect", "the selection 'select/0123456789abcdef'"],
        ),
    ],
)
def test_sections_that_do_not_fit_the_rows_are_refused(
    tmp_path: Path, left_out: tuple[str, ...], rows: str, told: list[str]
) -> None:
    with pytest.raises(SettingsError) as caught:
        read_recipe(without(tmp_path, *left_out, rows=rows))
    assert all(each in str(caught.value) for each in told), str(caught.value)


def with_kto(**others: float) -> dict[str, Any]:
    """A study that matches an arm of KTO to one of SFT, whose epoch has as many tokens."""
    recipe = yaml.safe_load(DEMO.read_text())
    settings = {"method": "kto", **{k: v for k, v in recipe["methods"]["sft"]["settings"].items() if k != "method"}}
    kto = {"settings": settings, "learning_rates": recipe["methods"]["sft"]["learning_rates"]}
    methods = {**recipe["methods"], "kto": kto}
    compute = {"match": "flops", "arm": "sft6-all", "tokens_per_epoch": {"sft": 6, "kto": 6}, "tolerance": 0.2}
    return {"methods": methods, "compute": {**compute, "other_tokens_per_epoch": others}}


def test_mismatched_responses_of_kto_count_as_operations(tmp_path: Path) -> None:
    plan = planned(tmp_path, "sft@6", "kto", **with_kto(kto=3))
    assert {str(one.point.chain) for one in plan.points} == {"sft@6", "kto@5"}, "(6 * 36 - 12 - 6) / (36 + 6) = 4.7"
    arms = [{"chain": "sft@6"}, {"chain": "kto"}]
    told = refusal(tmp_path, arms=arms, **with_kto())
    assert "the mismatched responses of 'kto' are missing" in told and "take `kl_tokens`" in told


@pytest.mark.parametrize(
    ("chain", "compute", "told"),
    [
        ("dpo@1", MATCHED, ["dpo@1 takes -67 % against the tokens of sft6-all", "write dpo@3", "compute.tolerance"]),
        ("sft@5 -> dpo", MATCHED, ["takes +17 %", "change an earlier one"]),
        ("dpo@3", {**MATCHED, "arm": "x"}, ["'x' is not an arm with epochs", "allowed: sft6-all, dpo3-all"]),
        ("dpo@3", {**MATCHED, "tokens_per_epoch": {"sft": 1}}, ["tokens of an epoch of 'dpo' are missing"]),
    ],
)
def test_compute_that_cannot_be_matched_is_refused(
    tmp_path: Path, chain: str, compute: dict[str, Any], told: list[str]
) -> None:
    text = refusal(tmp_path, arms=[{"chain": "sft@6"}, {"chain": chain}], compute=compute)
    assert all(part in text for part in told), text


def test_the_tasks_are_the_plans(tmp_path: Path) -> None:
    recipe = read(tmp_path, arms=[{"chain": "sft@1"}])
    names = [work.name for work in plan_study(recipe).works]
    assert task_names(recipe) == ["collect", "curate", "synthesize", "select", *names, "analyse"]
    assert len(set(names)) == len(names) and max(map(len, names)) <= 46


def test_the_placements_job_reaches_every_training_with_its_own_rate_and_seed(tmp_path: Path) -> None:
    placement = {"jobs": {"train": {"launcher": "TrainJob", "processes_per_node": 2}}}
    recipe = read(tmp_path, arms=[{"chain": "sft@2"}, {"chain": "sft@1"}], placement=placement, parallel_trainings=3)
    before, after = (trainings(plan_study(one)) for one in (recipe, move_jobs(recipe)))
    assert before.keys() == after.keys()
    for name, one in after.items():
        launch = one.settings.launch
        assert (launch.launcher, launch.processes_per_node) == ("TrainJob", 2)
        assert launch.slots == JobSlots(group="study-demo", count=3)
        assert one.settings.key_material() == before[name].settings.key_material()
        assert before[name].settings.launch.slots is None, "on one machine trainings run one by one"
