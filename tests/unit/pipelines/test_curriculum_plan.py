"""What a curriculum plans: rounds, baselines and what each learns from; and which recipes are refused."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from components.shared.errors import SettingsError
from pipelines.curriculum.baselines import BASELINES
from pipelines.curriculum.plan import (
    CurriculumPlan,
    CurriculumTraining,
    PlannedBridge,
    PlannedCritique,
    PlannedProbe,
    PlannedRoute,
    plan_curriculum,
)
from pipelines.curriculum.recipe import CurriculumRecipe
from pipelines.recipe.read_recipe import read_recipe
from pipelines.registry import task_names

DEMO = Path(__file__).parents[3] / "pipelines" / "recipes" / "curriculum-demo.yaml"


def read(folder: Path, **changes: Any) -> CurriculumRecipe:
    """The demo's curriculum without critique and second probes, with changes; those of a section are merged into it."""
    recipe = yaml.safe_load(DEMO.read_text()) | {"critique": None, "probe_again": False}
    for name, change in changes.items():
        merged = isinstance(change, dict) and isinstance(recipe.get(name), dict)
        recipe[name] = {**recipe[name], **change} if merged else change
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump(recipe, sort_keys=False))
    found = read_recipe(path)
    assert isinstance(found, CurriculumRecipe)
    return found


def planned(folder: Path, **changes: Any) -> CurriculumPlan:
    return plan_curriculum(read(folder, **changes))


def work(plan: CurriculumPlan, name: str) -> Any:
    return next(one for one in plan.works if one.name == name)


def needs(one: Any) -> set[str]:
    """The tasks that a planned work reads outputs of."""
    match one:
        case PlannedProbe():
            return {one.model}
        case PlannedRoute():
            return {one.probed}
        case PlannedBridge():
            return {one.routed, one.probed, one.student, one.after}
        case PlannedCritique():
            return {one.probed, one.bridged}
        case CurriculumTraining():
            return {one.dataset, one.start}
    raise AssertionError(one)


def refusal(folder: Path, **changes: Any) -> str:
    with pytest.raises(SettingsError) as caught:
        read(folder, **changes)
    return str(caught.value)


def test_a_round_teaches_what_fails_and_reinforces_what_is_solved_in_part(tmp_path: Path) -> None:
    plan = planned(tmp_path, rounds=2, compare={"baselines": []}, probe_last=False)
    assert plan.reported == ()
    assert [one.name for one in plan.works] == [
        f"{name}"
        for number in (1, 2)
        for name in (
            *(f"{step}-round-{number}" for step in ("probe", "route", "bridge")),
            *(f"train-round-{number}-{part}" for part in ("sft", "rl")),
        )
    ]
    first, second = work(plan, "bridge-round-1"), work(plan, "bridge-round-2")
    assert (first.routed, first.probed, first.student) == ("route-round-1", "probe-round-1", "")
    assert second.student == work(plan, "probe-round-2").model == "train-round-1-rl"
    taught, reinforced = work(plan, "train-round-2-sft"), work(plan, "train-round-2-rl")
    assert (taught.dataset, taught.start) == ("bridge-round-2", "train-round-1-rl")
    assert (reinforced.dataset, reinforced.start) == ("route-round-2", "train-round-2-sft")
    assert (taught.settings.method, reinforced.settings.method) == ("sft", "grpo")
    assert plan.names == ["base", "round-1-sft", "round-1-rl", "round-2-sft", "round-2-rl"]


@pytest.mark.parametrize("changes", [{}, {"probe_again": True, "critique": {}, "critique_from": 1, "rounds": 3}])
def test_each_work_comes_after_what_it_needs_and_every_model_is_evaluated(
    tmp_path: Path, changes: dict[str, Any]
) -> None:
    recipe = read(tmp_path, **changes)
    plan, before = plan_curriculum(recipe), {""}
    for one in plan.works:
        assert needs(one) <= before, one.name
        before.add(one.name)
    trained = {one.name for one in plan.works if isinstance(one, CurriculumTraining)}
    assert set(plan.models.values()) == trained
    assert {f"evaluate-{name}" for name in plan.names} <= set(task_names(recipe))


def test_the_model_of_the_last_round_is_probed_for_the_report_alone(tmp_path: Path) -> None:
    plan = planned(tmp_path, rounds=3)
    assert plan.reported == ("probe-round-3-rl",)
    last = work(plan, "probe-round-3-rl")
    assert (last.model, last.settings) == ("train-round-3-rl", work(plan, "probe-round-1").settings)
    assert not any("probe-round-3-rl" in needs(one) for one in plan.works)


def test_critique_joins_from_its_first_round_on(tmp_path: Path) -> None:
    plan = planned(tmp_path, rounds=3, critique={})
    assert {one.name for one in plan.works if isinstance(one, PlannedCritique)} == {
        "critique-round-2",
        "critique-round-3",
    }
    assert work(plan, "train-round-1-sft").dataset == "bridge-round-1"
    assert work(plan, "train-round-2-sft").dataset == "critique-round-2"
    joined = work(plan, "critique-round-2")
    assert (joined.probed, joined.bridged) == ("probe-round-2", "bridge-round-2")
    assert joined.settings.teacher.model == "package:demo/graded/teacher", "the recipe's teacher"


def test_the_students_own_answers_are_learnt_in_rounds_and_not_where_every_problem_is_taught(tmp_path: Path) -> None:
    plan = planned(tmp_path, bridge={"replay": {"share": 0.4}}, compare={"baselines": ["mixed_sft"]})
    shares = {one.name: one.settings.replay for one in plan.works if isinstance(one, PlannedBridge)}
    assert shares.pop("bridge-all") is None
    assert [replay.share for replay in shares.values() if replay] == [0.4, 0.4]


def test_a_second_probe_lets_what_was_just_taught_enter_the_reinforcement(tmp_path: Path) -> None:
    plan = planned(tmp_path, probe_again=True)
    assert work(plan, "probe-round-1-again").model == "train-round-1-sft"
    assert work(plan, "route-round-1-again").probed == "probe-round-1-again"
    assert work(plan, "train-round-1-rl").dataset == "route-round-1-again"
    assert work(plan, "bridge-round-1").routed == "route-round-1"


def test_a_round_with_nothing_left_passes_its_model_through(tmp_path: Path) -> None:
    plan = planned(tmp_path)
    demands = {(type(one), getattr(one.settings, "when_empty", "")) for one in plan.works}
    asked = {PlannedRoute: "finish", PlannedBridge: "finish", CurriculumTraining: "pass_through", PlannedProbe: ""}
    assert demands == set(asked.items())


def test_probes_sample_as_the_training_by_rl_does(tmp_path: Path) -> None:
    rl = read(tmp_path).train.rl.model_dump(mode="json", exclude_unset=True)
    rl["grpo"] |= {"temperature": 0.8, "top_p": 0.9, "max_response": 128}
    train = {"rl": rl}
    plan = planned(tmp_path, train=train, probe={"sampling": {"temperature": 0.8, "seed": 7}}, probe_again=True)
    probes = [one.settings.sampling for one in plan.works if isinstance(one, PlannedProbe)]
    assert len(probes) == 5
    assert {(one.temperature, one.top_p, one.max_tokens, one.seed) for one in probes} == {(0.8, 0.9, 128, 7)}
    refused = refusal(tmp_path, train=train, probe={"sampling": {"temperature": 1.0, "max_tokens": 256, "stop": ["."]}})
    assert "probe.sampling.temperature" in refused and "1.0, and 0.8 in the rollouts of train.rl" in refused
    assert "256, and 128 in the rollouts of train.rl" in refused and "('.',), and () in" in refused
    assert "remedy: leave it out here: probes take it from train.rl" in refused


def test_probes_get_the_prompts_of_the_training_by_rl(tmp_path: Path) -> None:
    generator = {"backend": "transformers", "model": "", "extra": {"chat_template_kwargs": {"enable_thinking": False}}}
    refused = refusal(tmp_path, probe={"system_prompt": "Be brief.", "generator": generator})
    assert "'Be brief.', and none in train.rl" in refused and "{'enable_thinking': False}}, and nothing" in refused


def test_baselines_learn_from_the_same_problems_without_routing(tmp_path: Path) -> None:
    plan = planned(tmp_path, compare={"baselines": list(BASELINES)})
    everything = work(plan, "route-all")
    assert (everything.probed, everything.settings.by.policy) == ("probe-round-1", "all")
    traces = work(plan, "bridge-all")
    assert (traces.routed, traces.student, traces.after) == ("route-all", "", "bridge-round-1")
    settings = work(plan, "bridge-round-1").settings.model_copy(update={"replay": None})
    assert traces.settings == settings, "so the teacher's kept traces are used again"
    found = {
        name: (one.dataset, one.start)
        for name in ("mixed-sft", "distillation", "sft-grpo-sft", "sft-grpo", "grpo")
        for one in [work(plan, f"train-{name}")]
    }
    assert found == {
        "mixed-sft": ("bridge-all", ""),
        "distillation": ("bridge-round-1", ""),
        "sft-grpo-sft": ("bridge-all", ""),
        "sft-grpo": ("route-all", "train-sft-grpo-sft"),
        "grpo": ("route-all", ""),
    }
    assert work(plan, "train-grpo").settings == work(plan, "train-round-1-rl").settings


def test_a_baseline_may_spend_what_the_rounds_spent(tmp_path: Path) -> None:
    plan = planned(tmp_path, rounds=2, compare={"baselines": list(BASELINES)})
    sft, rl = ([f"train-round-{number}-{part}" for number in (1, 2)] for part in ("sft", "rl"))
    for name in ("mixed-sft", "distillation", "grpo"):
        assert sorted(work(plan, f"train-{name}").budget) == sorted(sft + rl)
    # Its stages share the compute as the rounds do, so that together they spend as much.
    assert (list(work(plan, "train-sft-grpo-sft").budget), list(work(plan, "train-sft-grpo").budget)) == (sft, rl)
    assert not any(work(plan, name).budget for name in (*sft, *rl)), "the rounds themselves are not limited"


@pytest.mark.parametrize(("baseline", "extra"), [("distillation", set()), ("grpo", {"route-all"})])
def test_only_what_a_baseline_learns_from_is_made(tmp_path: Path, baseline: str, extra: set[str]) -> None:
    alone = {one.name for one in planned(tmp_path, compare={"baselines": []}).works}
    beside = {one.name for one in planned(tmp_path, compare={"baselines": [baseline]}).works}
    assert beside - alone == {*extra, f"train-{baseline}"}


@pytest.mark.parametrize(
    ("changes", "problem", "remedy"),
    [
        ({"rounds": 0}, "rounds: 0: Input should be greater than or equal to 1", ""),
        (
            {"compare": {"baselines": ["sft_only"]}},
            "no baseline 'sft_only'",
            "allowed: mixed_sft, distillation, sft_grpo, grpo",
        ),
        ({"compare": {"baselines": ["grpo", "grpo"]}}, "'grpo' is there already", ""),
        (
            {"collect": {"sources": [{"name": "chat", "uri": "package:demo/instructions/chat.jsonl"}]}},
            "the problems of 'chat' have no check",
            "check: {kind: math}",
        ),
        ({"route": {"when_empty": "fail"}}, "when_empty is decided by the pipeline", "leave it out"),
        (
            {"probe": {"generator": {"backend": "openai", "model": "m", "endpoints": ["http://a/v1"]}}},
            "an endpoint would be probed in place of every model",
            "a backend that runs files",
        ),
        ({"train": {"rl": {"method": "sft"}}}, "'sft' reads sft/", "allowed: grpo"),
        ({"train": {"sft": {"method": "grpo"}}}, "'grpo' reads rl/", "allowed: sft"),
        ({"evaluate": {"benchmarks": [{"name": "gsm8k"}]}}, "benchmark 'gsm8k' has no data", "allowed: graded"),
        ({"publish": {"gate": {"benchmark": "mmlu"}}}, "benchmark 'mmlu' is not evaluated", "allowed: graded"),
        (
            {
                "evaluate": {
                    "endpoints": {"round-1-sft": {"backend": "openai", "model": "m", "endpoints": ["http://a/v1"]}}
                }
            },
            "'round-1-sft' is the name of a model",
            "choose another name",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_a_fault_has_its_place_and_a_remedy(tmp_path: Path, changes: dict[str, Any], problem: str, remedy: str) -> None:
    text = refusal(tmp_path, **changes)
    assert problem in text and remedy in text and "recipe.yaml:" in text


def test_rows_that_bring_their_check_need_no_other(tmp_path: Path) -> None:
    source = {"name": "gsm8k", "uri": str(tmp_path / "train.jsonl"), "shape": "gsm8k"}
    (tmp_path / "train.jsonl").write_text('{"question": "1+1?", "answer": "#### 2"}\n')
    assert read(tmp_path, collect={"sources": [source]}).rounds == 2
    without_shape = {name: value for name, value in source.items() if name != "shape"}
    assert "name their shape: gsm8k" in refusal(tmp_path, collect={"sources": [without_shape]})
