"""Writes the trained model: everything that the start's files hold, with the start's own tokenizer."""

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from components.models.reference import UNSAFE_SUFFIXES
from components.models.stored.quantization import QUANTIZATION
from components.models.stored.stored_model import StoredModel, read_folder, shown
from components.shared.errors import ModelError
from components.shared.outputs.digest import digest_file
from components.shared.outputs.manifest import Shard
from components.shared.store.store import Store
from components.train.engine.deepspeed_config import zero_stage
from components.train.engine.divergence import require_finite_weights
from components.train.engine.losses import LOSSES_FILE
from components.train.engine.weight_layout import as_stored, find_layout, with_joined
from components.train.engine.write_weights import write_weights
from components.train.job_file import TrainingJob
from components.train.settings import TrainSettings

OWN_FILES = ("config.json", "README.md", "manifest.json", "trainer_state.json")
WEIGHT_SUFFIXES = (".safetensors", ".index.json", *UNSAFE_SUFFIXES)


def gather_weights(trainer: Any, settings: TrainSettings, keep: bool) -> dict[str, Any]:
    """All trained weights on the CPU, by parameter name; empty if `keep` is false, but every rank must call it.

    With `saved_weights: fp32`, the optimizer's fp32 master weights are taken instead of the rounded ones.
    """
    import deepspeed
    from deepspeed.utils import safe_get_full_fp32_param

    if settings.stages is not None:
        gathered: dict[str, Any] = trainer.gathered(keep)
        return gathered
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


def write_model(trainer: Any, weights: dict[str, Any], start: Path, job: TrainingJob, folder: Path) -> None:
    """Write `model/` (and `adapter/`, if it is kept) to `folder`."""
    settings, model = job.settings, folder / "model"
    if settings.lora is None:
        save_weights(trainer.model, weights, start, job.start, model)
    else:
        adapter = folder / "adapter"
        trainer.model.save_pretrained(adapter, state_dict=weights)
        _save_merged(start, adapter, job, model)
        if not settings.lora.keep_adapter:
            shutil.rmtree(adapter)
        else:
            _name_base(adapter, job.start)
    _write_config(start, model, settings)
    copy_companions(start, model, settings.allow_remote_code)


def save_weights(model: Any, weights: Mapping[str, Any], start: Path, reference: str, target: Path) -> None:
    """Write the start's files with the trained weights and everything else that they hold.

    Args:
        model: loaded from `start`, and trained.
        weights: those that were trained, gathered and on the CPU, by their names in the model.
        start: the folder that the model was loaded from.
        reference: how a person names the start.
        target: the folder to write into.

    Raises:
        ModelError: the start's files lack a weight, or the result differs from them in names or shapes.
        DivergedError: a weight is not finite.
    """
    require_finite_weights(weights)
    stored = read_folder(start, reference)
    if stored.tensors:
        write_weights(as_stored(model, weights, stored, find_layout(model, stored)), stored, start, target)
    else:
        _save_pickled(model, weights, stored, target)


def _save_pickled(model: Any, weights: Mapping[str, Any], stored: StoredModel, target: Path) -> None:
    """Save as transformers names the tensors, with the model's own buffers: pickled weights have no header to follow.

    Raises ModelError for frozen weights, which could not be copied from the start.
    """
    parameters = dict(model.named_parameters(remove_duplicate=False))
    trained = {id(parameters[name]) for name in weights}
    if frozen := [name for name, parameter in parameters.items() if id(parameter) not in trained]:
        raise ModelError(
            f"{len(frozen)} weights of {stored.reference!r} were not trained: {shown(frozen)}",
            rule="what was not trained is copied from the start's safetensors files",
            remedy="convert the start to safetensors first: from_pretrained, save_pretrained",
        )
    buffers = {name: value.cpu() for name, value in model.state_dict().items() if name not in parameters}
    model.save_pretrained(target, state_dict={**weights, **buffers})


def _save_merged(start: Path, adapter: Path, job: TrainingJob, target: Path) -> None:
    """Save W + (alpha / rank) B A in the chosen precision; weights without an adapter are the start's."""
    from peft import PeftModel

    from components.train.engine.load_model import load_model

    precision = {"precision": _saved_precision(job.settings)}
    with _loading_whole():
        plain = load_model(start, job.start, job.settings.model_copy(update=precision))
        adapted = PeftModel.from_pretrained(plain, adapter)
    names = adapted_weights(adapted)
    merged = adapted.merge_and_unload()
    names = with_joined(merged, names, find_layout(merged, read_folder(start, job.start)))
    weights = {name: value.detach() for name, value in merged.named_parameters() if name in names}
    save_weights(merged, weights, start, job.start, target)


@contextmanager
def _loading_whole() -> Iterator[None]:
    """Keep transformers from sharding a model over the ranks again; training may go on after it."""
    from transformers.integrations import deepspeed

    held = deepspeed._hf_deepspeed_config_weak_ref
    deepspeed.unset_hf_deepspeed_config()
    try:
        yield
    finally:
        deepspeed._hf_deepspeed_config_weak_ref = held


def adapted_weights(adapted: Any) -> set[str]:
    """Names, in the plain model, of the weights that have an adapter.

    peft wraps experts, which are one parameter of a module without `weight`, once for each such parameter.
    """
    from peft.tuners.tuners_utils import BaseTunerLayer

    return {
        f"{name.replace('.base_layer', '')}.{getattr(layer, 'parameter_name', None) or 'weight'}"
        for name, layer in adapted.get_base_model().named_modules()
        if isinstance(layer, BaseTunerLayer)
    }


def _name_base(adapter: Path, reference: str) -> None:
    """Name the adapter's base by its reference: the folder that it was loaded from exists only on this machine."""
    (adapter / "README.md").unlink(missing_ok=True)
    path = adapter / "adapter_config.json"
    config = json.loads(path.read_text()) | {"base_model_name_or_path": reference}
    path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")


def _saved_precision(settings: TrainSettings) -> str:
    return "fp32" if settings.saved_weights == "fp32" else settings.precision


def _write_config(start: Path, model: Path, settings: TrainSettings) -> None:
    """Write the start's own config.json (trainers change theirs, such as `use_cache`) with these weights' precision.

    A quantisation config is left out: quantised starts are refused, so these weights are plain.
    """
    config = json.loads((start / "config.json").read_text())
    dtype = "float32" if _saved_precision(settings) == "fp32" else "bfloat16"
    for part in (config, *(part for part in config.values() if isinstance(part, dict))):
        part.pop(QUANTIZATION, None)
        if "torch_dtype" in part or "dtype" in part:
            part.pop("torch_dtype", None)
            part["dtype"] = dtype
    config["dtype"] = dtype
    (model / "config.json").write_text(json.dumps(config, indent=2) + "\n")


def copy_companions(start: Path, model: Path, with_code: bool) -> None:
    """Copy tokenizer, chat template and generation config byte for byte from the start."""
    for path in sorted(start.iterdir()):
        code = path.suffix == ".py" and not with_code
        if path.is_file() and path.name not in OWN_FILES and not path.name.endswith(WEIGHT_SUFFIXES) and not code:
            shutil.copyfile(path, model / path.name)


def upload_folder(store: Store, folder: Path) -> tuple[Shard, ...]:
    """Upload every file below the folder; returns their shards."""
    shards = []
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        name = path.relative_to(folder).as_posix()
        digest = digest_file(path)
        store.upload(path, name)
        shards.append(Shard(name=name, bytes=path.stat().st_size, digest=digest, record=name == LOSSES_FILE))
    return tuple(shards)
