"""A merge method is a file and a line in the registry: nothing else has to know it."""

from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError

from components.merge.merge import merge_models
from components.merge.methods.method import MergeMethod, ingredients
from components.merge.methods.options import MergeOptions
from components.merge.methods.registry import METHODS
from components.merge.settings import MergeSettings
from components.models.reference import local_model
from components.shared.outputs.library import Library
from tests.integration.merge.test_arithmetic import weights_of


def _configure(options: MergeOptions) -> dict[str, Any]:
    return {"merge_method": "task_arithmetic", "base_model": options.base, "models": ingredients(options, "weight")}


TASK_ARITHMETIC = MergeMethod("task_arithmetic", _configure, needs_base=True)


def test_a_method_that_is_added_to_the_registry_merges(
    tmp_path: Path, models: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(METHODS, TASK_ARITHMETIC.name, TASK_ARITHMETIC)
    chosen = [{"name": "sft", "weight": 0.5}, {"name": "kto", "weight": 0.25}]
    settings = MergeSettings.model_validate({"method": "task_arithmetic", "base": "base", "models": chosen})
    library = Library(str(tmp_path))
    manifest = merge_models(library, settings, models)
    result = weights_of(local_model(library.uri(manifest.address)))
    base, sft, kto = (weights_of(models[name]) for name in ("base", "sft", "kto"))
    for name, merged in result.items():
        expected = base[name] + 0.5 * (sft[name] - base[name]) + 0.25 * (kto[name] - base[name])
        torch.testing.assert_close(merged, expected, rtol=1e-5, atol=1e-6)
    assert "task_arithmetic" in MergeSettings.model_json_schema()["properties"]["method"]["enum"]


def test_what_every_method_requires_holds_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(METHODS, TASK_ARITHMETIC.name, TASK_ARITHMETIC)
    with pytest.raises(ValidationError, match="task_arithmetic needs base"):
        MergeSettings.model_validate({"method": "task_arithmetic", "models": [{"name": "a"}]})
