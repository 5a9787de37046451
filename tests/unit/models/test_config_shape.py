"""A model's shape by its config.json alone is that of its weights."""

import json
from pathlib import Path

import pytest

from components.models.stored.config_shape import model_by_config
from components.models.stored.stored_model import read_folder
from components.shared.errors import ModelError
from components.train.engine.fit_memory import read_shape
from components.train.methods.registry import parse_train_settings

ROOT = Path(__file__).parents[3]
DEMO = ROOT / "demo" / "student"
QWEN = ROOT / "tests" / "unit" / "pipelines" / "plan" / "qwen2-0.5b-config.json"


@pytest.mark.parametrize("lora", [None, {"rank": 8}, {"rank": 4, "target_modules": ["q_proj", "down_proj"]}])
def test_a_shape_by_config_is_that_by_the_weights_headers(lora: dict[str, object] | None) -> None:
    settings = parse_train_settings({"lora": lora} if lora else {})
    alone = model_by_config(DEMO / "config.json", "demo")
    assert read_shape(alone, settings) == read_shape(read_folder(DEMO), settings)


def test_qwen2_has_its_published_number_of_parameters() -> None:
    shape = read_shape(model_by_config(QWEN, "Qwen/Qwen2-0.5B-Instruct"), parse_train_settings({}))
    assert shape is not None
    assert (shape.parameters, shape.layers, shape.keys, shape.vocabulary) == (494_032_768, 24, 128, 151_936)


@pytest.mark.parametrize(
    ("changed", "said"),
    [({"hidden_size": None}, "it lacks hidden_size"), ({"num_local_experts": 8}, "it is a mixture of experts")],
)
def test_what_config_does_not_show_is_refused(tmp_path: Path, changed: dict[str, object], said: str) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps({**json.loads(QWEN.read_text()), **changed}))
    with pytest.raises(ModelError, match=said):
        model_by_config(path, "mine")


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"config\.json cannot be read"):
        model_by_config(tmp_path / "config.json", "mine")
