"""The command line: what it prints, and how it ends when it is used wrongly."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from components.train.settings import LoraSettings
from pipelines.doctor.machine import examine
from pipelines.recipe.read_recipe import read_recipe

ROOT = Path(__file__).parents[3]
DEMO = ROOT / "pipelines" / "recipes" / "demo.yaml"


def tutelage(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "pipelines.cli.main", *arguments], capture_output=True, text=True, cwd=ROOT, timeout=600
    )


def test_schemas_say_what_every_key_means() -> None:
    schema = json.loads(tutelage("schema", "recipe").stdout)
    assert "hub id" in schema["properties"]["student"]["description"]
    assert json.loads(tutelage("schema", "kto/1").stdout)["properties"]["label"]["type"] == "boolean"


def test_an_unknown_schema_names_those_there_are() -> None:
    done = tutelage("schema", "recipes")
    assert done.returncode == 2
    assert "allowed:" in done.stderr and "recipe" in done.stderr and "Traceback" not in done.stderr


def test_a_wrong_recipe_ends_with_2_and_no_traceback(tmp_path: Path) -> None:
    recipe = tmp_path / "wrong.yaml"
    recipe.write_text(DEMO.read_text().replace("epochs: 3", "epochs: -3"))
    done = tutelage("run", str(recipe), "--work", str(tmp_path / "work"))
    assert done.returncode == 2
    assert f"{recipe}:" in done.stderr and "-3" in done.stderr and "Traceback" not in done.stderr
    assert not (tmp_path / "work").exists(), "nothing was started"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("run", str(DEMO), "--set", "seed"), "--set NAME=VALUE"),
        (("compile", str(DEMO), "-o", "/nowhere/x.yaml"), "an existing folder"),
        (("compile", str(DEMO), "-o", "x.json"), "a .yaml file"),
        (("status", "nothing-of-this-name"), "tutelage run RECIPE starts one"),
        (("submit", str(DEMO), "--store", "s3://b/p", "--host", "http://127.0.0.1:9"), "kubectl port-forward"),
        (("submit", str(DEMO), "--host", "http://127.0.0.1:9"), "which pods do not share"),
        (("submit", str(DEMO), "--run-name", "../x", "--store", "s3://b/p"), "choose another name"),
    ],
)
def test_wrong_arguments_say_the_remedy(arguments: tuple[str, ...], said: str) -> None:
    done = tutelage(*arguments)
    assert done.returncode in {1, 2}
    assert said in done.stderr and "Traceback" not in done.stderr


def test_doctor_tries_the_store_and_the_models(tmp_path: Path) -> None:
    recipe = read_recipe(DEMO).model_copy(update={"store": str(tmp_path)})
    findings = {finding.what: finding for finding in examine(recipe)}
    assert findings["store"].good and findings["student"].good and findings["packages"].good
    assert list(tmp_path.iterdir()) == [], "doctor leaves nothing behind"


def test_doctor_names_the_training_that_does_not_fit_the_student(tmp_path: Path) -> None:
    recipe = read_recipe(DEMO).model_copy(update={"store": str(tmp_path)})
    (name, training), *_ = recipe.train.items()
    wrong = training.settings.model_copy(update={"lora": LoraSettings(target_modules=("query",))})
    train = recipe.train | {name: training.model_copy(update={"settings": wrong})}
    findings = {finding.what: finding for finding in examine(recipe.model_copy(update={"train": train}))}
    others = [finding for what, finding in findings.items() if what.startswith("train.") and what != f"train.{name}"]
    assert not findings[f"train.{name}"].good and "'query'" in findings[f"train.{name}"].text
    assert others and all(finding.good for finding in others)


def test_doctor_says_what_to_do_about_a_missing_student(tmp_path: Path) -> None:
    recipe = read_recipe(DEMO).model_copy(update={"store": str(tmp_path), "student": str(tmp_path / "none")})
    student = {finding.what: finding for finding in examine(recipe)}["student"]
    assert not student.good and student.remedy
