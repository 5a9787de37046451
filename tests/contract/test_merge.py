"""The contract of merge: what the component takes, hands over and refuses."""

import json
from pathlib import Path

import pytest
import torch
import yaml
from transformers import AutoModelForCausalLM, AutoTokenizer

from components.merge.component import merge
from components.merge.merge import merge_models
from components.merge.settings import MergeSettings
from components.models.reference import local_model
from components.shared.errors import InputError
from components.shared.outputs.library import Library
from components.shared.outputs.manifest import parse_manifest
from tests.tiny_model import save_tiny_model

SETTINGS = {"method": "linear", "models": [{"name": "sft"}, {"name": "kto"}]}


class Artifact:
    """The part of kfp's artifact that a component uses."""

    def __init__(self, path: Path) -> None:
        self.path, self.uri, self.metadata = str(path), str(path), {}
        self.logged: dict[str, float] = {}

    def log_metric(self, name: str, value: float) -> None:
        self.logged[name] = value


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    torch.set_num_threads(1)
    home = tmp_path_factory.mktemp("models")
    for seed, name in enumerate(("base", "sft", "kto")):
        save_tiny_model(home / name, seed, hidden_size=16, num_hidden_layers=1, dtype=torch.bfloat16)
    return {name: str(home / name) for name in ("base", "sft", "kto")}


def test_component_hands_over_a_loadable_model(tmp_path: Path, models: dict[str, str]) -> None:
    root = str(tmp_path / "store")
    model, metrics, summary = (Artifact(tmp_path / "out" / name) for name in ("model", "metrics", "summary"))
    arguments = {"task": "merge-linear", "settings": SETTINGS, "models": models, "others": []}
    uri = merge.python_func(root=root, **arguments, model=model, metrics=metrics, summary=summary)

    manifest = parse_manifest(Path(model.path).read_bytes(), where=model.path)
    assert uri == f"{root}/{manifest.address}" and model.metadata["digest"] == manifest.digest
    assert manifest.content == "model/1"
    assert set(manifest.parents) == {"sft", "kto"}, "base is given, but is not part of this merge"
    assert metrics.logged["models"] == 2 and metrics.logged["parameters"] > 0
    assert "merge_method: linear" in Path(summary.path).read_text()

    folder = local_model(uri)
    assert AutoModelForCausalLM.from_pretrained(folder).dtype == torch.bfloat16, "the type of the models' weights"
    ours, theirs = AutoTokenizer.from_pretrained(folder), AutoTokenizer.from_pretrained(models["sft"])
    assert ours.chat_template == theirs.chat_template and ours.get_vocab() == theirs.get_vocab()
    kept = yaml.safe_load((Path(uri) / "mergekit.yaml").read_text())
    assert [entry["model"] for entry in kept["models"]] == ["sft", "kto"], "names, not this machine's paths"

    assert merge.python_func(root=root, **arguments, model=model, metrics=metrics, summary=summary) == uri
    again = parse_manifest(Path(model.path).read_bytes(), where=model.path)
    assert again.created == manifest.created, "a complete output is not made again"


def test_model_that_is_not_given_is_refused(tmp_path: Path, models: dict[str, str]) -> None:
    settings = MergeSettings.model_validate({"models": [{"name": "sft"}, {"name": "dpo"}]})
    with pytest.raises(InputError, match="'dpo'") as caught:
        merge_models(Library(str(tmp_path)), settings, models)
    assert caught.value.allowed == ("base", "kto", "sft")


def test_wrong_settings_end_with_code_2(
    tmp_path: Path, models: dict[str, str], capfd: pytest.CaptureFixture[str]
) -> None:
    outputs = [Artifact(tmp_path / name) for name in ("model", "metrics", "summary")]
    wrong = {"method": "ties", "models": [{"name": "sft"}]}
    with pytest.raises(SystemExit) as caught:
        merge.python_func(str(tmp_path), "merge-x", wrong, models, [], *outputs)
    assert caught.value.code == 2
    said = capfd.readouterr().err
    assert "merge-x" in said and "needs base" in said and "Traceback" not in said


def test_unlike_models_end_with_code_1_and_no_output(
    tmp_path: Path, models: dict[str, str], capfd: pytest.CaptureFixture[str]
) -> None:
    import shutil

    odd = Path(shutil.copytree(models["kto"], tmp_path / "odd"))
    config = json.loads((odd / "config.json").read_text())
    (odd / "config.json").write_text(json.dumps({**config, "rms_norm_eps": 0.5}))
    outputs = [Artifact(tmp_path / name) for name in ("model", "metrics", "summary")]
    with pytest.raises(SystemExit) as caught:
        merge.python_func(str(tmp_path / "store"), "merge", SETTINGS, {**models, "kto": str(odd)}, [], *outputs)
    assert caught.value.code == 1
    assert "rms_norm_eps: 1e-06 | 0.5" in capfd.readouterr().err
    assert not list((tmp_path / "store").rglob("manifest.json"))
