"""Impossible merges are refused before anything is loaded, and mergekit gets the configuration that was asked for."""

import pytest
from pydantic import ValidationError

from components.merge.run_mergekit import mergekit_config
from components.merge.settings import MergeSettings


def settings(**values: object) -> MergeSettings:
    return MergeSettings.model_validate(values)


def named(*names: str) -> list[dict[str, str]]:
    return [{"name": name} for name in names]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"method": "lerp", "models": named("a", "b")}, "no merge method 'lerp'; allowed: linear, slerp, ties"),
        ({"method": "linear", "models": named("a")}, "at least two models"),
        ({"method": "linear", "models": named("a", "b"), "base": "c"}, "no weight for base 'c'"),
        ({"models": [{"name": "a", "weight": 1}, {"name": "b", "weight": -1}]}, "sum to 0"),
        ({"method": "slerp", "models": named("a", "b", "c")}, "takes two models"),
        ({"method": "ties", "models": named("a", "b")}, "ties needs base"),
        ({"method": "dare_ties", "models": named("a"), "base": "a"}, "a model besides the base 'a'"),
        ({"method": "model_stock", "models": named("a"), "base": "b"}, "at least two models besides the base"),
        ({"models": named("a", "a")}, "a more than once"),
        ({"models": [{"name": "a", "density": 0}, {"name": "b"}]}, "greater than 0"),
        ({"models": named("a", "b"), "weights": [1, 2]}, "Extra inputs"),
    ],
)
def test_impossible_settings_say_why(values: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        settings(**values)


def test_linear_gives_each_model_its_weight() -> None:
    chosen = [{"name": "sft", "weight": 0.05}, {"name": "kto", "weight": 0.95}]
    config = mergekit_config(settings(models=chosen))
    assert config["models"] == [
        {"model": "sft", "parameters": {"weight": 0.05}},
        {"model": "kto", "parameters": {"weight": 0.95}},
    ]
    assert config["parameters"] == {"normalize": True}


def test_base_of_ties_has_no_parameters() -> None:
    config = mergekit_config(settings(method="ties", base="base", models=named("sft", "base")))
    assert config["base_model"] == "base"
    assert config["models"] == [
        {"model": "base"},
        {"model": "sft", "parameters": {"weight": 1.0, "density": 0.5}},
    ]


def test_slerp_without_base_starts_at_the_first_model() -> None:
    config = mergekit_config(settings(method="slerp", models=named("sft", "kto"), t=0.25))
    assert config["base_model"] == "sft" and config["parameters"] == {"t": 0.25}


def test_written_type_is_asked_for_only_when_set() -> None:
    assert "out_dtype" not in mergekit_config(settings(models=named("a", "b")))
    assert mergekit_config(settings(models=named("a", "b"), dtype="bfloat16"))["out_dtype"] == "bfloat16"
