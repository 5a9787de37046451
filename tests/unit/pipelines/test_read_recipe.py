"""A wrong recipe is refused before anything starts, with file, line, value, rule and allowed values."""

from pathlib import Path

import pytest

from components.evaluate.settings import EvaluationSettings
from components.shared.errors import SettingsError
from pipelines.distill.recipe import DistillRecipe, training_order
from pipelines.recipe.move_jobs import move_jobs
from pipelines.recipe.read_recipe import read_recipe
from pipelines.registry import task_names, tasks_of

DEMO = Path(__file__).parents[3] / "pipelines" / "recipes" / "demo.yaml"


def changed(tmp_path: Path, old: str, new: str) -> Path:
    """The demo's recipe with one text replaced by another."""
    text = DEMO.read_text()
    assert old in text
    path = tmp_path / "recipe.yaml"
    path.write_text(text.replace(old, new, 1))
    return path


def read(path: Path = DEMO, variables: dict[str, str] | None = None) -> DistillRecipe:
    recipe = read_recipe(path, variables)
    assert isinstance(recipe, DistillRecipe)
    return recipe


def refusal(path: Path, **variables: str) -> str:
    with pytest.raises(SettingsError) as caught:
        read_recipe(path, variables)
    assert caught.value.exit_code == 2
    return str(caught.value)


def line_of(path: Path, text: str) -> int:
    return next(number for number, line in enumerate(path.read_text().splitlines(), 1) if text in line)


def test_the_demo_is_read_and_its_models_reach_the_steps() -> None:
    recipe = read()
    assert recipe.curate.teacher == recipe.teacher == recipe.synthesize.teacher
    assert recipe.synthesize.student is not None and recipe.synthesize.student.model == recipe.student
    assert recipe.train["sft"].settings.learning_rate == 1e-3


def test_an_unknown_key_is_named_with_its_line_and_the_allowed_ones(tmp_path: Path) -> None:
    path = changed(tmp_path, "label_template:", "label_templat:")
    text = refusal(path)
    assert f"{path}:{line_of(path, 'label_templat')}: curate.label_templat: unknown key" in text
    assert "label_template" in text.split("allowed:")[1]


def test_a_scorer_that_does_not_exist_and_an_unknown_key_of_one_name_what_is_allowed(tmp_path: Path) -> None:
    text = refusal(changed(tmp_path, "scorer: likelihood", "scorer: likelyhood"))
    assert "select.quality" in text and "allowed: likelihood, judge, reward, verifier, none" in text
    text = refusal(changed(tmp_path, "scorer: likelihood", "scorer: judge"))
    assert "select.quality.model: " in text and "scorer of quality 'judge' has no such key" in text
    assert "max_unreadable_share" in text.split("allowed:")[1]


def test_a_wrong_type_is_named_with_its_line_and_value(tmp_path: Path) -> None:
    path = changed(tmp_path, "epochs: 3", "epochs: three")
    text = refusal(path)
    assert f"{path}:{line_of(path, 'three')}" in text
    assert "'three'" in text and "integer" in text


def test_a_value_outside_its_bounds_is_reported_with_the_bound(tmp_path: Path) -> None:
    assert "less than or equal to 1" in refusal(changed(tmp_path, "max_rejected_share: 0.1", "max_rejected_share: 1.5"))


def test_an_impossible_combination_is_refused(tmp_path: Path) -> None:
    assert "divisible" in refusal(changed(tmp_path, "global_batch: 16", "global_batch: 15"))


def test_a_start_that_does_not_exist_names_those_that_do(tmp_path: Path) -> None:
    path = changed(tmp_path, "start: sft", "start: sfd")
    text = refusal(path)
    assert f"{path}:{line_of(path, 'sfd')}" in text and "allowed: student, sft, kto" in text


def test_variants_that_start_from_each_other_are_refused(tmp_path: Path) -> None:
    path = changed(tmp_path, "  sft:\n    settings:", "  sft:\n    start: sft-kto\n    settings:")
    assert "circle" in refusal(path)


def test_a_variants_name_that_is_not_a_label_is_rejected_with_its_line(tmp_path: Path) -> None:
    path = changed(tmp_path, "  half: #", "  Half_: #")
    assert f"{path}:{line_of(path, 'Half_')}: merge.Half_: 'Half_' is not a valid name" in refusal(path)


def test_a_merge_of_an_unknown_model_names_the_known_ones(tmp_path: Path) -> None:
    assert "allowed: base, sft, kto, sft-kto" in refusal(
        changed(tmp_path, "{name: base, weight", "{name: bass, weight")
    )


def test_a_benchmark_without_data_and_a_gate_without_benchmark_are_refused(tmp_path: Path) -> None:
    text = refusal(changed(tmp_path, "[{name: demo, max_tokens: 40}]", "[{name: gsm8k}]"))
    assert "'gsm8k' has no data" in text and "'demo' is not evaluated" in text


ONE_LINE = "[{name: demo, max_tokens: 40}]"
ENDPOINT = "{backend: openai, model: served, endpoints: ['http://teacher:8000/v1']}"


def test_an_endpoint_cannot_be_asked_a_ranked_benchmark(tmp_path: Path) -> None:
    ranked = "[{name: demo, benchmark: ranked}]"
    read(changed(tmp_path, ONE_LINE, ranked))
    text = refusal(changed(tmp_path, ONE_LINE, f"{ranked}\n  endpoints: {{teacher: {ENDPOINT}}}"))
    assert "evaluate.endpoints.teacher.backend" in text and "does not compute log-likelihoods" in text


def test_settings_of_the_comparison_in_evaluate_say_where_they_moved(tmp_path: Path) -> None:
    path = changed(tmp_path, ONE_LINE, f"{ONE_LINE}\n  correction: none\n  resamples: 500")
    text = refusal(path)
    assert f"{path}:{line_of(path, 'correction')}: evaluate.correction: 'none': moved" in text
    assert "write it as compare.correction" in text and "write it as compare.resamples" in text


def test_each_model_and_each_endpoint_is_evaluated_by_a_task_of_its_own(tmp_path: Path) -> None:
    path = changed(tmp_path, ONE_LINE, f"{ONE_LINE}\n  generator: {{batch: 7}}\n  endpoints: {{teacher: {ENDPOINT}}}")
    recipe = read(path)
    tasks = {task.name: task for task in tasks_of(recipe) if task.step.name == "evaluate"}
    names = ["base", "sft", "kto", "sft-kto", "dpo", "sft-dpo", "half", "twentieth", "ties", "teacher"]
    assert list(tasks) == [f"evaluate-{name}" for name in names]
    of_base, of_teacher = tasks["evaluate-base"].settings, tasks["evaluate-teacher"].settings
    assert isinstance(of_base, EvaluationSettings) and isinstance(of_teacher, EvaluationSettings)
    assert not of_base.asks_endpoint and of_teacher.asks_endpoint
    without = read(changed(tmp_path, ONE_LINE, f"{ONE_LINE}\n  generator: {{batch: 7}}"))
    alone = next(task.settings for task in tasks_of(without) if task.name == "evaluate-base")
    assert of_base == alone, "an endpoint more does not change what a model's evaluation depends on"
    assert move_jobs(recipe).evaluate == recipe.evaluate  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (f"endpoints: {{sft: {ENDPOINT}}}", "evaluate.endpoints.sft: 'sft' is already the name of a trained variant"),
        (f"endpoints: {{half: {ENDPOINT}}}", "evaluate.endpoints.half: 'half' is already the name of a merge"),
        (f"endpoints: {{base: {ENDPOINT}}}", "evaluate.endpoints.base: 'base' is reserved for the student"),
        (f"endpoints: {{Big_: {ENDPOINT}}}", "'Big_' is not a valid name"),
        ("endpoints: {big: {backend: vllm, model: x}}", "evaluate.endpoints.big.backend: backend 'vllm' runs files"),
        (f"generator: {ENDPOINT}", "list the endpoint in evaluate.endpoints"),
    ],
)
def test_an_endpoint_that_is_no_row_of_its_own_is_refused(tmp_path: Path, settings: str, said: str) -> None:
    assert said in refusal(changed(tmp_path, ONE_LINE, f"{ONE_LINE}\n  {settings}"))


def test_a_set_without_checks_needs_a_benchmark(tmp_path: Path) -> None:
    entry = '{name: demo, uri: "package:demo/heldout.jsonl", check: {kind: exact, ignore_case: false}}'
    text = refusal(changed(tmp_path, entry, '{name: demo, importer: gsm8k, uri: "package:demo/heldout.jsonl"}'))
    assert "evaluate.benchmarks.0.name: the questions of 'demo' have no check" in text
    assert "give the set in collect.benchmarks a `check`, or set `benchmark` to one of gsm8k, mmlu" in text


def test_a_recipe_that_names_what_sets_with_a_check_replaced_is_told_what_to_write(tmp_path: Path) -> None:
    text = refusal(changed(tmp_path, "check: {kind: exact, ignore_case: false}}", "importer: questions}"))
    assert "collect.benchmarks.0.importer: 'questions'" in text and "check: {kind: exact, ignore_case: false}" in text
    text = refusal(changed(tmp_path, "[{name: demo, max_tokens: 40}]", "[{name: demo, benchmark: exact}]"))
    assert "evaluate.benchmarks.0.benchmark: 'exact'" in text and "leave `benchmark` out" in text


def test_rows_that_are_held_out_can_be_evaluated(tmp_path: Path) -> None:
    path = changed(
        tmp_path, "[{name: demo, max_tokens: 40}]", "[{name: demo}, {name: unseen, prompt: 'Q: {question}'}]"
    )
    assert "'unseen' has no data" in refusal(path)
    path.write_text(
        path.read_text().replace("  benchmarks:\n", "  holdout: {name: unseen, share: 0.1}\n  benchmarks:\n", 1)
    )
    assert read(path).collect.holdout.share == 0.1


def test_missing_files_are_all_named_at_once(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(DEMO.read_text().replace("instructions/alpaca", "instructions/x").replace("demo/student", "demo/y"))
    text = refusal(path)
    assert "2 faults" in text and "instructions/x.jsonl" in text and "demo/y" in text


def test_a_missing_recipe_and_broken_yaml_are_refused(tmp_path: Path) -> None:
    assert "cannot be read" in refusal(tmp_path / "nothing.yaml")
    broken = tmp_path / "broken.yaml"
    broken.write_text("name: [demo\nstore: x\n")
    assert "line 2" in refusal(broken)


def test_a_duplicate_key_is_rejected(tmp_path: Path) -> None:
    assert "duplicate key" in refusal(changed(tmp_path, "name: demo\n", "name: demo\nname: other\n"))


def test_variables_replace_and_unknown_ones_are_refused() -> None:
    assert read(DEMO, {"seed": "7"}).train["sft"].settings.seed == 7
    assert "allowed: seed" in refusal(DEMO, sede="7")


def test_a_variable_without_a_value_names_the_option(tmp_path: Path) -> None:
    assert "--set seed=VALUE" in refusal(changed(tmp_path, 'seed: "0"', 'seed: ""'))


def test_training_goes_in_an_order_in_which_each_start_is_there(tmp_path: Path) -> None:
    recipe = read()
    turned = recipe.model_copy(update={"train": dict(reversed(recipe.train.items()))})
    order = training_order(turned)
    assert order.index("sft") < order.index("sft-kto")
    assert [name for name in task_names(recipe) if name.startswith("merge")] == [
        f"merge-{name}" for name in recipe.merge
    ]


def test_a_password_in_a_url_is_refused_and_not_shown(tmp_path: Path) -> None:
    path = changed(
        tmp_path, "  backend: transformers\n", "  backend: openai\n  endpoints: ['http://me:hidden-word@host/v1']\n"
    )
    text = refusal(path)
    assert "password" in text and "hidden-word" not in text
