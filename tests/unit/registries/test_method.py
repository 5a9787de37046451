"""A training method is one file and one line of the registry: a made-up one is validated, described and compared."""

import subprocess
import sys
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from components.train.methods.kto import KtoSettings
from components.train.methods.registry import METHODS, AnyTrainSettings, method_of, parse_train_settings
from components.train.methods.sft import SftSettings
from pipelines.distill.recipe import Training
from pipelines.placement.move_tasks import with_launch
from tests.unit.registries.made_up.cloning import METHOD, CloningSettings


@pytest.fixture(autouse=True)
def _registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(METHODS, METHOD.name, METHOD)


def test_settings_are_of_the_method_that_they_name() -> None:
    made_up = parse_train_settings({"method": "cloning", "most_rows": 3, "global_batch": 4})
    assert made_up == CloningSettings(most_rows=3, global_batch=4)
    assert method_of(made_up) is METHOD
    assert type(parse_train_settings({"method": "kto"})) is KtoSettings
    assert type(parse_train_settings({})) is SftSettings


def test_a_recipe_takes_its_settings_and_keeps_them_all() -> None:
    training = Training.model_validate({"settings": {"method": "cloning", "most_rows": 3}})
    assert training.model_dump(exclude_unset=True) == {"settings": {"method": "cloning", "most_rows": 3}}
    moved = with_launch(training.settings, training.settings.launch)
    assert isinstance(moved, CloningSettings) and moved.most_rows == 3


@pytest.mark.parametrize(
    ("values", "place", "message"),
    [
        ({"method": "cloning", "most_rows": 0}, ("most_rows",), "greater than or equal to 1"),
        (
            {"method": "cloning", "kto": {}},
            ("kto",),
            "training method .cloning. has no such key; allowed: .*most_rows",
        ),
        ({"method": "kto", "kto": {"beta": 0}}, ("kto", "beta"), "greater than 0"),
        ({"method": "clonning"}, ("method",), "no training method 'clonning'; allowed: sft, kto, .*cloning"),
        ({"method": ["sft"]}, ("method",), r"no training method \['sft'\]"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(values: dict[str, Any], place: tuple[str, ...], message: str) -> None:
    with pytest.raises(ValidationError, match=message) as caught:
        Training.model_validate({"settings": values})
    assert [error["loc"] for error in caught.value.errors()] == [("settings", *place)]


def test_the_schema_has_every_method() -> None:
    schema = TypeAdapter(AnyTrainSettings).json_schema()
    assert {item["$ref"].rpartition("/")[2] for item in schema["oneOf"]} == {
        method.settings.__name__ for method in METHODS.values()
    }


def test_its_settings_are_part_of_the_address() -> None:
    assert CloningSettings(most_rows=3).key_material() != CloningSettings().key_material()
    assert CloningSettings(micro_batch=1).key_material() == CloningSettings().key_material()


def test_the_registry_loads_nothing_heavy() -> None:
    program = (
        "import sys\nimport components.train.methods.registry\n"
        "print([name for name in ('torch', 'trl', 'transformers', 'datasets', 'numpy') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
