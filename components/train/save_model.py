"""The trained model as files: whole weights as safetensors, and the start's own tokenizer beside them."""

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

from components.models.reference import UNSAFE_SUFFIXES
from components.shared.manifest import Shard
from components.shared.store import Store
from components.train.deepspeed_config import zero_stage
from components.train.job_file import TrainJob
from components.train.losses import LOSSES_FILE
from components.train.settings import TrainSettings

OWN_FILES = ("config.json", "README.md", "manifest.json", "trainer_state.json")
WEIGHT_SUFFIXES = (".safetensors", ".index.json", *UNSAFE_SUFFIXES)


def gather_weights(trainer: Any, settings: TrainSettings, keep: bool) -> dict[str, Any]:
    """All trained weights on the CPU, by parameter name; empty where `keep` is false, but every rank must call it.

    With `saved_weights: fp32`, the optimizer's fp32 master weights are taken instead of the rounded ones.
    """
    import deepspeed
    from deepspeed.utils import safe_get_full_fp32_param

    master = settings.saved_weights == "fp32" and settings.precision != "fp32"
    weights = {}
    for name, parameter in trainer.model.named_parameters():
        if not parameter.requires_grad:
            continue
        if master:
            full = safe_get_full_fp32_param(parameter)
            if keep:
                weights[name] = full.detach().cpu()
            continue
        with deepspeed.zero.GatheredParameters([parameter], enabled=zero_stage(settings) == 3):
            if keep:
                weights[name] = parameter.detach().cpu().clone()
    return weights


def write_model(trainer: Any, weights: dict[str, Any], start: Path, job: TrainJob, folder: Path) -> None:
    """Write `model/` (and `adapter/`, where it is kept) below `folder`."""
    settings, model = job.settings, folder / "model"
    if settings.lora is None:
        trainer.model.save_pretrained(model, state_dict=weights)
    else:
        adapter = folder / "adapter"
        trainer.model.save_pretrained(adapter, state_dict=weights)
        _merge_adapter(start, adapter, settings, model)
        if not settings.lora.keep_adapter:
            shutil.rmtree(adapter)
        else:
            _name_base(adapter, job.start)
    _write_config(start, model, settings)
    copy_companions(start, model, settings.allow_remote_code)


def _merge_adapter(start: Path, adapter: Path, settings: TrainSettings, target: Path) -> None:
    """W + (alpha / rank) B A, in the precision that is saved."""
    from peft import PeftModel
    from transformers.integrations.deepspeed import unset_hf_deepspeed_config

    from components.train.load_model import load_model

    # Without this, transformers would split the plain model over the ranks again.
    unset_hf_deepspeed_config()
    plain = load_model(start, settings.model_copy(update={"precision": _saved_precision(settings)}))
    PeftModel.from_pretrained(plain, adapter).merge_and_unload().save_pretrained(target)


def _name_base(adapter: Path, reference: str) -> None:
    """Name the adapter's base by its reference: the folder it was loaded from is this machine's own."""
    (adapter / "README.md").unlink(missing_ok=True)
    path = adapter / "adapter_config.json"
    config = json.loads(path.read_text()) | {"base_model_name_or_path": reference}
    path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")


def _saved_precision(settings: TrainSettings) -> str:
    return "fp32" if settings.saved_weights == "fp32" else settings.precision


def _write_config(start: Path, model: Path, settings: TrainSettings) -> None:
    """The start's own config.json, as trainers change it (no cache, for one), with the precision of these weights."""
    config = json.loads((start / "config.json").read_text())
    config.pop("torch_dtype", None)
    config["dtype"] = "float32" if _saved_precision(settings) == "fp32" else "bfloat16"
    (model / "config.json").write_text(json.dumps(config, indent=2) + "\n")


def copy_companions(start: Path, model: Path, with_code: bool) -> None:
    """Copy tokenizer, chat template and generation config byte for byte from the model that training started from."""
    for path in sorted(start.iterdir()):
        code = path.suffix == ".py" and not with_code
        if path.is_file() and path.name not in OWN_FILES and not path.name.endswith(WEIGHT_SUFFIXES) and not code:
            shutil.copyfile(path, model / path.name)


def upload_folder(store: Store, folder: Path) -> tuple[Shard, ...]:
    """Put every file below the folder into the store and describe it."""
    shards = []
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        name = path.relative_to(folder).as_posix()
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        store.upload(path, name)
        shards.append(Shard(name=name, bytes=path.stat().st_size, sha256=digest, record=name == LOSSES_FILE))
    return tuple(shards)
