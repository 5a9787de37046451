"""Loads the model that training starts from: safetensors and transformers' own code, unless the settings allow more."""

from pathlib import Path
from typing import Any

from components.models.reference import local_model
from components.models.stored.end_tokens import end_ids_in
from components.models.stored.load_weights import load_causal_model
from components.models.stored.stored_model import read_folder
from components.shared.errors import ModelError
from components.shared.log import say
from components.train.engine.join_ranks import barrier
from components.train.engine.weight_layout import require_place
from components.train.ranks import Ranks
from components.train.settings import ALL_LINEAR, LoraSettings, TrainSettings


def fetch_start(reference: str, ranks: Ranks, settings: TrainSettings) -> Path:
    """The model's folder; the first process of a machine downloads it while the others wait."""
    if ranks.is_local_main:
        folder = local_model(reference, allow_pickled=settings.allow_pickled_weights)
    barrier()
    return folder if ranks.is_local_main else local_model(reference, allow_pickled=settings.allow_pickled_weights)


def load_tokenizer(folder: Path, settings: TrainSettings) -> Any:
    """The model's tokenizer, with a pad token. Raises ModelError."""
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=settings.allow_remote_code)
    except (OSError, ValueError, KeyError) as error:
        raise _unusable(folder, error) from error
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def load_model(folder: Path, reference: str, settings: TrainSettings) -> Any:
    """The model in the precision of the training. Under ZeRO-3 the arguments must exist before. Raises ModelError."""
    import torch

    return load_causal_model(
        folder,
        reference,
        dtype=torch.bfloat16 if settings.precision == "bf16" else torch.float32,
        allow_remote_code=settings.allow_remote_code,
        allow_pickled=settings.allow_pickled_weights,
    )


def load_start(folder: Path, reference: str, settings: TrainSettings) -> Any:
    """The model to train, its vision and audio towers frozen. Raises ModelError, also if it could not be saved."""
    model = load_model(folder, reference, settings)
    # Before the training rather than after it.
    require_place(model, read_folder(folder, reference))
    if (frozen := freeze_other_towers(model)) and Ranks.from_environment().is_main:
        say("train", f"{frozen:,} parameters of towers for other inputs than text are frozen")
    return model


def freeze_other_towers(model: Any) -> int:
    """Freeze towers for images and sound: rows are text, and weight decay would change them. Returns their weights."""
    if model.config.get_text_config() is model.config:
        return 0
    language = [model.get_decoder(), *([head] if (head := model.get_output_embeddings()) is not None else [])]
    kept = {id(parameter) for part in language for parameter in part.parameters()}
    others = [parameter for parameter in model.parameters() if id(parameter) not in kept]
    for parameter in others:
        parameter.requires_grad_(False)
    return sum(getattr(parameter, "ds_numel", parameter.numel()) for parameter in others)


def end_tokens(folder: Path, tokenizer: Any) -> frozenset[int]:
    """Ids that end a response: the tokenizer's end token, and those of the model's generation config."""
    return end_ids_in(folder) | ({tokenizer.eos_token_id} - {None})


def adapter_config(lora: LoraSettings | None, model: Any) -> Any:
    """peft's configuration, or None when all weights are trained; what `freeze_other_towers` froze gets no adapter."""
    if lora is None:
        return None
    from peft import LoraConfig

    layers = {name: layer for name, layer in model.named_modules() if getattr(layer, "weight", None) is not None}
    frozen = [name for name, layer in layers.items() if not layer.weight.requires_grad]
    return LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=ALL_LINEAR if lora.target_modules == (ALL_LINEAR,) else list(lora.target_modules),
        exclude_modules=frozen or None,
        task_type="CAUSAL_LM",
    )


def _unusable(folder: Path, error: Exception) -> ModelError:
    reason = (str(error).strip() or type(error).__name__).splitlines()[0]
    remote = "trust_remote_code" in str(error)
    return ModelError(
        f"the tokenizer in {folder} cannot be loaded: {reason}",
        rule="Python code that comes with a model runs only with allow_remote_code" if remote else "",
        remedy="set allow_remote_code if you trust its author" if remote else "check the model's files",
    )
