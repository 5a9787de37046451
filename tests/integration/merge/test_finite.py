"""Merged weights that are not finite are refused, with the tensor's name, and nothing is stored as complete."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from components.merge.merge import merge_models
from components.merge.settings import MergeSettings
from components.models.reference import local_model
from components.shared.errors import ModelError
from components.shared.outputs.library import Library
from tests.edit_model import edit_weights, read_weights

NAME = "model.layers.1.mlp.down_proj.weight"
LARGEST = 65504.0
BY_METHOD: dict[str, dict[str, Any]] = {
    "linear": {},
    "slerp": {},
    "ties": {"base": "base"},
    "dare_ties": {"base": "base"},
}


def with_values(models: dict[str, str], place: Path, value: float) -> dict[str, str]:
    """A base and a tuned model, one of whose tensors has this value throughout."""
    changed = {}
    for name in ("base", "sft"):
        folder = Path(shutil.copytree(models[name], place / name))
        edit_weights(folder, lambda weights: weights | {NAME: torch.full_like(weights[NAME], value)})
        changed[name] = str(folder)
    return changed


def settings(method: str, dtype: str) -> MergeSettings:
    chosen = [{"name": "base"}, {"name": "sft"}]
    return MergeSettings.model_validate({"method": method, "models": chosen, "dtype": dtype, **BY_METHOD[method]})


@pytest.mark.parametrize("method", BY_METHOD)
def test_what_float16_cannot_hold_is_refused(tmp_path: Path, models: dict[str, str], method: str) -> None:
    given, library = with_values(models, tmp_path, 7e4), Library(str(tmp_path / "store"))
    with pytest.raises(ModelError) as caught:
        merge_models(library, settings(method, "float16"), given)
    assert NAME in str(caught.value) and "65504" in str(caught.value) and "bfloat16" in caught.value.remedy
    assert not list((tmp_path / "store").rglob("manifest.json"))
    assert merge_models(library, settings(method, "bfloat16"), given).address


def test_the_largest_float16_is_written(tmp_path: Path, models: dict[str, str]) -> None:
    given, library = with_values(models, tmp_path, LARGEST), Library(str(tmp_path / "store"))
    made = merge_models(library, settings("linear", "float16"), given)
    written = read_weights(local_model(library.uri(made.address)))[NAME]
    assert written.dtype == torch.float16 and bool((written == LARGEST).all())


@pytest.mark.parametrize("method", ["linear", "ties"])
@pytest.mark.parametrize("value", [float("nan"), float("-inf")])
def test_a_model_with_weights_that_are_not_finite_is_named(
    tmp_path: Path, models: dict[str, str], method: str, value: float
) -> None:
    folder = Path(shutil.copytree(models["sft"], tmp_path / "sft"))

    def damage(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        weights[NAME][3, 5] = value
        return weights

    edit_weights(folder, damage)
    with pytest.raises(ModelError, match=f"{NAME} of 'sft' has values that are not finite"):
        merge_models(
            Library(str(tmp_path / "store")), settings(method, "auto"), {"base": models["base"], "sft": str(folder)}
        )
