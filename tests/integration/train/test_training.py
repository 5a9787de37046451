"""Real training on gloo ranks: adapters, the user's own ds_config.json, no compiler, and losses that diverge."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from components.models.reference import local_model
from components.shared.errors import ModelError
from components.shared.store.open_store import open_store
from components.shared.store.uri import join

pytestmark = pytest.mark.timeout(1500)
DS_CONFIG = {
    "train_batch_size": "auto",
    "train_micro_batch_size_per_gpu": "auto",
    "gradient_accumulation_steps": "auto",
    "gradient_clipping": 1.0,
    "bf16": {"enabled": "auto"},
    "zero_optimization": {"stage": 2, "overlap_comm": True, "contiguous_gradients": True, "reduce_bucket_size": "auto"},
    "optimizer": {"type": "AdamW", "params": {"lr": "auto", "betas": "auto", "eps": "auto", "weight_decay": "auto"}},
    "scheduler": {
        "type": "WarmupDecayLR",
        "params": {
            "total_num_steps": "auto",
            "warmup_min_lr": "auto",
            "warmup_max_lr": "auto",
            "warmup_num_steps": "auto",
        },
    },
}
WITHOUT_ENGINE = """
import os, sys
class Finder:
    def find_spec(self, name, path, target=None):
        if name != "components.train.engine.record_steps":
            return None
        sys.meta_path.remove(self)
        from accelerate import Accelerator
        Accelerator._prepare_deepspeed = lambda self, *parts: parts
        return None
sys.meta_path.insert(0, Finder())
"""


def load(folder: Path) -> Any:
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(folder)


def test_the_users_ds_config_trains_without_a_compiler(bench: Any, tmp_path: Path) -> None:
    (tmp_path / "ds_config.json").write_text(json.dumps(DS_CONFIG))
    (tmp_path / "bin").mkdir()
    bare = {"PATH": str(tmp_path / "bin"), "CC": "none", "CXX": "none", "TORCH_EXTENSIONS_DIR": str(tmp_path)}
    launch = {"processes_per_node": 2, "environment": bare}
    manifest = bench.train(deepspeed_config=str(tmp_path / "ds_config.json"), launch=launch, scheduler="linear")
    assert manifest.counts["steps"] == 12
    assert manifest.counts["loss_last"] < manifest.counts["loss_first"]
    assert manifest.settings["deepspeed_config"] == DS_CONFIG


def test_a_sparse_ds_config_trains_as_the_settings_do_without_one(
    bench: Any, references: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Clipping, learning rate and batches come from the settings where the file leaves them out.

    Without weight decay, which DeepSpeed's optimizer applies to norms too and transformers' does not.
    """
    own = {"zero_optimization": {"stage": 2}, "optimizer": {"type": "AdamW"}}
    # AdamW's steps hardly depend on the gradients' scale until they are as small as its epsilon, 1e-8 each.
    clipped = {"max_grad_norm": 1e-6}
    shutil.copytree(bench.root, tmp_path / "other")
    sparse = bench.train(root=str(tmp_path / "other"), deepspeed_config=own, **clipped)
    assert "gradient_clipping: 1e-06 (max_grad_norm)" in capsys.readouterr().err
    with_file = [record["loss"] for record in bench.losses(sparse, str(tmp_path / "other"))]
    plain = [record["loss"] for record in bench.losses(bench.train(**clipped))]
    unclipped = [record["loss"] for record in references.losses(references.train())]
    assert with_file == pytest.approx(plain, rel=1e-4)
    assert plain[-1] > unclipped[-1] * 1.01, "clipping must have a visible effect"


def test_adapters_are_merged_and_the_rest_stays(bench: Any) -> None:
    import torch

    manifest = bench.train(method="kto", lora={"rank": 4, "keep_adapter": True})
    assert manifest.counts["parameters_trained"] < manifest.counts["parameters"]
    assert {"adapter/adapter_config.json", "adapter/adapter_model.safetensors"} <= {s.name for s in manifest.shards}
    folder = Path(bench.root, manifest.address, "model")
    before, after = load(bench.student).state_dict(), load(folder).state_dict()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == {name for name in before if "_proj" in name}
    adapter = json.loads((folder.parent / "adapter" / "adapter_config.json").read_text())
    assert adapter["base_model_name_or_path"] == str(bench.student)


def test_kto_starts_from_sft(bench: Any) -> None:
    sft = bench.train(weight_decay=0.1)
    kto = bench.train(join(bench.root, sft.address), method="kto")
    assert kto.parents["start"] == sft.parent
    assert kto.counts["desirable_reward"] > kto.counts["undesirable_reward"]
    assert (kto.counts["desirable"], kto.counts["undesirable"], kto.counts["undesirable_weight"]) == (64, 32, 2)


def test_a_loss_that_blows_up_names_the_step(bench: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    import torch

    broken = tmp_path / "broken"
    shutil.copytree(bench.student, broken)
    model = load(broken)
    model.model.norm.weight.data[0] = torch.nan
    model.save_pretrained(broken)
    with pytest.raises(ModelError) as raised:
        bench.train(str(broken))
    assert raised.value.problem == "the loss of step 1 is nan"
    assert "lower learning_rate" in raised.value.remedy
    assert capfd.readouterr().err.count("FAILED the loss of step 1 is nan") == 1, "both ranks fail in the same way"


def test_an_s3_bucket_holds_everything(bench: Any, moto_server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    root = moto_server.use(monkeypatch)
    manifest = bench.at(root).train(checkpoint_steps=4)
    store = open_store(root).at(manifest.address)
    assert {entry.key for entry in store.list()} == {
        *(shard.name for shard in manifest.shards),
        "manifest.json",
        "job.json",
    }
    trained = load(local_model(join(root, manifest.address))).state_dict()
    before = load(bench.student).state_dict()
    assert trained.keys() == before.keys()
    assert any((trained[name] != before[name]).any() for name in before)


def test_a_training_without_its_engine_is_an_error(bench: Any) -> None:
    """Something in the environment makes accelerate wrap the model in its own way."""
    (site := Path(bench.root, "site")).mkdir(parents=True)
    (site / "sitecustomize.py").write_text(WITHOUT_ENGINE)
    launch = {"processes_per_node": 2, "environment": {"PYTHONPATH": str(site)}}
    with pytest.raises(ModelError, match="wrapped as LlamaForCausalLM, not as DeepSpeedEngine"):
        bench.train(launch=launch)
