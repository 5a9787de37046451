"""The model that training starts from: safetensors and the library's own code, unless asked otherwise."""

from pathlib import Path
from typing import Any

from components.models.end_tokens import end_ids_in
from components.models.reference import local_model
from components.shared.errors import ModelError
from components.train.ranks import Ranks, barrier
from components.train.settings import LoraSettings, TrainSettings


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
        raise _unusable(folder, "tokenizer", error) from error
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def load_model(folder: Path, settings: TrainSettings) -> Any:
    """The model in the precision of the training. Under ZeRO-3 the arguments must exist before. Raises ModelError."""
    import torch
    from transformers import AutoModelForCausalLM

    try:
        return AutoModelForCausalLM.from_pretrained(
            folder,
            dtype=torch.bfloat16 if settings.precision == "bf16" else torch.float32,
            trust_remote_code=settings.allow_remote_code,
            use_safetensors=None if settings.allow_pickled_weights else True,
        )
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise _unusable(folder, "model", error) from error


def end_tokens(folder: Path, tokenizer: Any) -> frozenset[int]:
    """Ids that end a response: the tokenizer's, and those at which the model's generation stops."""
    return end_ids_in(folder) | ({tokenizer.eos_token_id} - {None})


def adapter_config(lora: LoraSettings | None) -> Any:
    """peft's configuration, or None when all weights are trained."""
    if lora is None:
        return None
    from peft import LoraConfig

    return LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules="all-linear" if lora.target_modules == ("all-linear",) else list(lora.target_modules),
        task_type="CAUSAL_LM",
    )


def _unusable(folder: Path, what: str, error: Exception) -> ModelError:
    reason = (str(error).strip() or type(error).__name__).splitlines()[0]
    remote = "trust_remote_code" in str(error)
    return ModelError(
        f"the {what} in {folder} cannot be loaded: {reason}",
        rule="code that comes with a model is not run unless allow_remote_code is set" if remote else "",
        remedy="set allow_remote_code if you trust its author" if remote else "check the model's files",
    )
