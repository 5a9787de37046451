"""mergekit's results match the papers' formulas, and the merged models load and generate."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from components.merge.merge import merge_models
from components.merge.settings import MergeSettings
from components.models.reference import local_model
from components.models.stored.load_weights import load_causal_model
from components.shared.outputs.library import Library
from components.shared.store.uri import join
from tests.edit_model import edit_weights
from tests.tiny_architectures import save_architecture

Weights = dict[str, torch.Tensor]


def weights_of(folder: str | Path) -> Weights:
    return {name: tensor.float() for name, tensor in load_file(Path(folder) / "model.safetensors").items()}


def merged(root: Path, given: dict[str, str], **settings: object) -> tuple[Path, Weights]:
    manifest = merge_models(Library(str(root)), MergeSettings.model_validate(settings), given)
    folder = local_model(join(str(root), manifest.address))
    (path,) = folder.glob("*.safetensors")
    return folder, {name: tensor.float() for name, tensor in load_file(path).items()}


def named(*names: str, **common: float) -> list[dict[str, object]]:
    return [{"name": name, **common} for name in names]


def assert_close(left: Weights, right: Weights) -> None:
    assert left.keys() == right.keys()
    for name in left:
        torch.testing.assert_close(
            left[name], right[name], rtol=1e-5, atol=1e-6, msg=lambda text, name=name: name + text
        )


@pytest.mark.parametrize(("first", "second"), [(0.5, 0.5), (0.05, 0.95)])
def test_linear_is_the_weighted_mean(tmp_path: Path, models: dict[str, str], first: float, second: float) -> None:
    chosen = [{"name": "sft", "weight": first}, {"name": "kto", "weight": second}]
    folder, result = merged(tmp_path, models, method="linear", models=chosen)
    sft, kto = weights_of(models["sft"]), weights_of(models["kto"])
    assert_close(result, {name: first * sft[name] + second * kto[name] for name in sft})
    model, tokenizer = AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    prompt = tokenizer.apply_chat_template(
        [{"role": "user", "content": "1 + 1"}], add_generation_prompt=True, return_tensors="pt", return_dict=True
    )
    assert model.generate(**prompt, max_new_tokens=4, do_sample=False).shape[1] > prompt["input_ids"].shape[1]


@pytest.mark.parametrize("name", ["gemma4", "glm4_moe", "qwen3_5_vision"])
def test_buffers_experts_and_towers_are_merged_too(tmp_path: Path, name: str) -> None:
    first = save_architecture(name, tmp_path / "first")
    second = Path(shutil.copytree(first, tmp_path / "second"))
    edit_weights(second, lambda weights: {key: weight + 0.1 for key, weight in weights.items()})
    settings = MergeSettings.model_validate({"models": named("first", "second")})
    address = merge_models(Library(str(tmp_path)), settings, {"first": str(first), "second": str(second)}).address
    merged, start = (load_causal_model(path, name) for path in (local_model(join(str(tmp_path), address)), first))
    for key, weight in start.state_dict().items():
        torch.testing.assert_close(merged.state_dict()[key], weight + 0.05, msg=key)


def test_linear_without_normalize_is_the_weighted_sum(tmp_path: Path, models: dict[str, str]) -> None:
    _, result = merged(tmp_path, models, models=named("sft", "kto", weight=0.4), normalize=False)
    sft, kto = weights_of(models["sft"]), weights_of(models["kto"])
    assert_close(result, {name: 0.4 * (sft[name] + kto[name]) for name in sft})


@pytest.mark.parametrize(("t", "end"), [(0.0, "base"), (1.0, "sft")])
def test_slerp_ends_are_the_models(tmp_path: Path, models: dict[str, str], t: float, end: str) -> None:
    _, result = merged(tmp_path, models, method="slerp", base="base", models=named("sft"), t=t)
    assert_close(result, weights_of(models[end]))


def test_ties_with_everything_kept_and_one_model_is_that_model(tmp_path: Path, models: dict[str, str]) -> None:
    _, result = merged(tmp_path, models, method="ties", base="base", models=named("sft", density=1.0))
    assert_close(result, weights_of(models["sft"]))


def test_ties_moves_only_where_an_elected_sign_agrees(tmp_path: Path, models: dict[str, str]) -> None:
    _, result = merged(tmp_path, models, method="ties", base="base", models=named("sft", "kto", density=1.0))
    base, sft, kto = (weights_of(models[name]) for name in ("base", "sft", "kto"))
    for name in base:
        first, second = sft[name] - base[name], kto[name] - base[name]
        elected = torch.where(first + second >= 0, 1.0, -1.0)
        agree = torch.stack([first.sign() == elected, second.sign() == elected]).float()
        mean = (first * agree[0] + second * agree[1]) / agree.sum(0).clamp(min=1)
        torch.testing.assert_close(result[name], base[name] + mean, rtol=1e-4, atol=1e-6)


def test_model_stock_follows_its_ratio(tmp_path: Path, models: dict[str, str]) -> None:
    _, result = merged(tmp_path, models, method="model_stock", base="base", models=named("sft", "kto"))
    base, sft, kto = (weights_of(models[name]) for name in ("base", "sft", "kto"))
    for name in base:
        first, second = (sft[name] - base[name]).flatten(), (kto[name] - base[name]).flatten()
        cosine = torch.nn.functional.cosine_similarity(first, second, dim=0)
        ratio = 2 * cosine / (1 + cosine)
        expected = base[name] + (ratio * (first + second) / 2).reshape(base[name].shape)
        torch.testing.assert_close(result[name], expected, rtol=1e-3, atol=1e-5)


def test_dare_ties_depends_on_its_seed_alone(tmp_path: Path, models: dict[str, str]) -> None:
    dare = {"method": "dare_ties", "base": "base", "models": named("sft", "kto", density=0.5)}
    digests = {_digest_elsewhere(tmp_path / str(run), models, {**dare, "seed": 7}, str(run)) for run in range(2)}
    assert len(digests) == 1, "processes with different hash seeds must give the same merge"
    _, other = merged(tmp_path, models, **dare, seed=8)
    _, same = merged(tmp_path, models, **dare, seed=7)
    assert any(not torch.equal(other[name], same[name]) for name in same)


def _digest_elsewhere(root: Path, models: dict[str, str], settings: dict[str, object], hash_seed: str) -> str:
    program = (
        "from components.merge.merge import merge_models\n"
        "from components.merge.settings import MergeSettings\n"
        "from components.shared.outputs.library import Library\n"
        f"print(merge_models(Library({str(root)!r}), MergeSettings.model_validate({settings!r}), {models!r}).digest)"
    )
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=environment, check=True, timeout=600
    )
    return done.stdout.strip().splitlines()[-1]
