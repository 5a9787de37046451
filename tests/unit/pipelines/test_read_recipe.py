"""A wrong recipe is refused before anything starts, with file, line, value, rule and allowed values."""

from pathlib import Path

import pytest

from components.shared.errors import SettingsError
from pipelines.distill import task_names, training_order
from pipelines.read_recipe import read_recipe

DEMO = Path(__file__).parents[3] / "pipelines" / "recipes" / "demo.yaml"


def changed(tmp_path: Path, old: str, new: str) -> Path:
    """The demo's recipe with one text replaced by another."""
    text = DEMO.read_text()
    assert old in text
    path = tmp_path / "recipe.yaml"
    path.write_text(text.replace(old, new, 1))
    return path


def refusal(path: Path, **variables: str) -> str:
    with pytest.raises(SettingsError) as caught:
        read_recipe(path, variables)
    assert caught.value.exit_code == 2
    return str(caught.value)


def line_of(path: Path, text: str) -> int:
    return next(number for number, line in enumerate(path.read_text().splitlines(), 1) if text in line)


def test_the_demo_is_read_and_its_models_reach_the_steps() -> None:
    recipe = read_recipe(DEMO)
    assert recipe.curate.teacher == recipe.teacher == recipe.synthesize.teacher
    assert recipe.synthesize.student is not None and recipe.synthesize.student.model == recipe.student
    assert recipe.train["sft"].settings.learning_rate == 1e-3


def test_an_unknown_key_is_named_with_its_line_and_the_allowed_ones(tmp_path: Path) -> None:
    path = changed(tmp_path, "label_template:", "label_templat:")
    text = refusal(path)
    assert f"{path}:{line_of(path, 'label_templat')}: curate.label_templat: unknown key" in text
    assert "label_template" in text.split("allowed:")[1]


def test_a_wrong_type_is_named_with_its_line_and_value(tmp_path: Path) -> None:
    path = changed(tmp_path, "epochs: 3", "epochs: three")
    text = refusal(path)
    assert f"{path}:{line_of(path, 'three')}" in text
    assert "'three'" in text and "integer" in text


def test_a_value_outside_its_bounds_says_the_bound(tmp_path: Path) -> None:
    assert "less than or equal to 1" in refusal(changed(tmp_path, "max_rejected_share: 0.1", "max_rejected_share: 1.5"))


def test_an_impossible_combination_is_refused(tmp_path: Path) -> None:
    assert "divisible" in refusal(changed(tmp_path, "global_batch: 16", "global_batch: 15"))


def test_a_start_that_does_not_exist_says_what_does(tmp_path: Path) -> None:
    path = changed(tmp_path, "start: sft", "start: sfd")
    text = refusal(path)
    assert f"{path}:{line_of(path, 'sfd')}" in text and "allowed: student, sft, kto" in text


def test_variants_that_start_from_each_other_are_refused(tmp_path: Path) -> None:
    path = changed(tmp_path, "  sft:\n    settings:", "  sft:\n    start: sft-kto\n    settings:")
    assert "circle" in refusal(path)


def test_a_merge_of_an_unknown_model_says_what_there_is(tmp_path: Path) -> None:
    assert "allowed: base, sft, kto, sft-kto" in refusal(
        changed(tmp_path, "{name: base, weight", "{name: bass, weight")
    )


def test_a_benchmark_without_data_and_a_gate_without_benchmark_are_refused(tmp_path: Path) -> None:
    text = refusal(changed(tmp_path, "benchmarks: [{name: demo, max_tokens: 40}]", "benchmarks: [{name: gsm8k}]"))
    assert "'gsm8k' has no data" in text and "'demo' is not evaluated" in text


def test_missing_files_are_all_named_at_once(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(DEMO.read_text().replace("instructions/alpaca", "instructions/x").replace("demo/student", "demo/y"))
    text = refusal(path)
    assert "2 faults" in text and "instructions/x.jsonl" in text and "pipelines/demo/y" in text


def test_a_missing_recipe_and_broken_yaml_are_refused(tmp_path: Path) -> None:
    assert "cannot be read" in refusal(tmp_path / "nothing.yaml")
    broken = tmp_path / "broken.yaml"
    broken.write_text("name: [demo\nstore: x\n")
    assert "line 2" in refusal(broken)


def test_a_key_that_stands_twice_is_refused(tmp_path: Path) -> None:
    assert "stands twice" in refusal(changed(tmp_path, "name: demo\n", "name: demo\nname: other\n"))


def test_variables_replace_and_unknown_ones_are_refused() -> None:
    assert read_recipe(DEMO, {"seed": "7"}).train["sft"].settings.seed == 7
    assert "allowed: seed" in refusal(DEMO, sede="7")


def test_a_variable_without_a_value_names_the_option(tmp_path: Path) -> None:
    assert "--set seed=VALUE" in refusal(changed(tmp_path, 'seed: "0"', 'seed: ""'))


def test_training_goes_in_an_order_in_which_each_start_is_there(tmp_path: Path) -> None:
    recipe = read_recipe(DEMO)
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
