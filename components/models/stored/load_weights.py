"""The only place that loads weights: transformers loads and reports, and a model that does not fit is refused.

Left to itself, transformers fills what a file lacks with random numbers and drops what config.json does not name, both
with no more than a warning (`log_state_dict_report`), and under ZeRO-3 without one.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from components.models.stored.check_stored import require_complete
from components.models.stored.quantization import QUANTIZATION, is_plain
from components.models.stored.stored_model import StoredModel, read_folder, shown
from components.models.stored.tied_heads import require_repeated_heads
from components.shared.errors import ModelError
from components.shared.log import say
from components.shared.patch_libraries import without_zero3

CAUSAL, CLASSIFIER = "AutoModelForCausalLM", "AutoModelForSequenceClassification"
MESSAGES = {CAUSAL: "a causal language model", CLASSIFIER: "a sequence classifier"}


def load_causal_model(
    folder: Path, reference: str, *, dtype: Any = "auto", allow_remote_code: bool = False, allow_pickled: bool = False
) -> Any:
    """A causal language model with exactly the weights of its files.

    Args:
        folder: the model's, on this machine.
        reference: how a person names the model.
        dtype: torch's type of the weights, or auto: the checkpoint's.
        allow_remote_code: run Python code that comes with the model.
        allow_pickled: load weights that are not safetensors: they can run code.

    Raises:
        ModelError: it cannot be loaded, or its files lack tensors, hold others, or hold some of another shape.
    """
    return _load(
        CAUSAL, folder, reference, dtype=dtype, allow_remote_code=allow_remote_code, allow_pickled=allow_pickled
    )


def load_classifier(folder: Path, reference: str) -> Any:
    """A sequence classifier with exactly the weights of its files, including those of its head. Raises ModelError."""
    return _load(CLASSIFIER, folder, reference, dtype="auto", allow_remote_code=False, allow_pickled=False)


def require_fitting(folder: Path, reference: str, *, allow_remote_code: bool = False) -> Any:
    """Compare a causal language model's files with its architecture, by names and shapes; no weights are read.

    Arguments as of `load_causal_model`.

    Returns:
        The model on torch's meta device, without weights.

    Raises:
        ModelError: as `load_causal_model`.
    """
    return _load(
        CAUSAL,
        folder,
        reference,
        dtype="auto",
        allow_remote_code=allow_remote_code,
        allow_pickled=False,
        shapes_only=True,
    )


def model_without_weights(folder: Path, dtype: Any, *, allow_remote_code: bool = False) -> Any:
    """A causal language model with memory for its weights that nobody has written: a page takes memory once it is.

    For who reads some of the tensors alone. `require_fitting` compares the files with the architecture.

    Args:
        folder: the model's, on this machine.
        dtype: torch's type of the weights.
        allow_remote_code: run Python code that comes with the model.
    """
    from transformers import AutoConfig, AutoModelForCausalLM
    from transformers.initialization import no_init_weights

    config = AutoConfig.from_pretrained(folder, trust_remote_code=allow_remote_code, local_files_only=True)
    with no_init_weights():
        return AutoModelForCausalLM.from_config(config, dtype=dtype, trust_remote_code=allow_remote_code)


def _load(
    kind: str,
    folder: Path,
    reference: str,
    *,
    dtype: Any,
    allow_remote_code: bool,
    allow_pickled: bool,
    shapes_only: bool = False,
) -> Any:
    import transformers
    from safetensors import SafetensorError
    from transformers.integrations.deepspeed import is_deepspeed_zero3_enabled

    stored = read_folder(folder, reference)
    require_complete(stored, with_head=kind == CAUSAL)
    options: dict[str, Any] = {
        "dtype": dtype,
        "trust_remote_code": allow_remote_code,
        "use_safetensors": None if allow_pickled else True,
        "local_files_only": True,
        "output_loading_info": True,
        # The report names what does not match; an error of transformers' would not.
        "ignore_mismatched_sizes": True,
    }
    auto = getattr(transformers, kind)
    try:
        with _quiet():
            options |= _without_stale_quantization(stored, folder, allow_remote_code)
            if shapes_only or is_deepspeed_zero3_enabled():
                # Under ZeRO-3 transformers reports neither unexpected nor mismatched tensors: first, look at shapes.
                with without_zero3():
                    model, report = auto.from_pretrained(folder, device_map="meta", **options)
                _refuse(reference, report)
                if model.config.tie_word_embeddings and not shapes_only:
                    require_repeated_heads(folder, stored)
            if not shapes_only:
                model, report = auto.from_pretrained(folder, **options)
    except (OSError, ValueError, KeyError, RuntimeError, ImportError, SafetensorError) as error:
        raise _unloadable(kind, reference, folder, error) from error
    _refuse(reference, report)
    return model


def _refuse(reference: str, report: Mapping[str, Any]) -> None:
    """Refuse a model by transformers' report, in which tied weights and what a class ignores are left out already."""
    missing, unexpected = (sorted(report[key]) for key in ("missing_keys", "unexpected_keys"))
    other = [f"{name} {list(there)} instead of {list(wanted)}" for name, there, wanted in report["mismatched_keys"]]
    # What has another shape is left random, so that newer versions of transformers may list it as missing too.
    missing = [name for name in missing if name not in {entry[0] for entry in report["mismatched_keys"]}]
    problems = [
        f"{len(names)} {what}: {shown(names)}"
        for what, names in (
            ("tensors are missing", missing),
            ("tensors are not part of the model", unexpected),
            ("tensors have another shape", sorted(other)),
        )
        if names
    ]
    if problems:
        raise ModelError(
            f"the weights of {reference!r} do not fit its config.json: {'; '.join(problems)}",
            rule="a model's files contain every weight of its config.json and no other: missing ones would be random",
            remedy="copy the complete model again, with the config.json that belongs to its weights; weights that were "
            "saved inside a wrapper (peft, DistributedDataParallel) need its prefix taken off; tensors that are truly "
            "of no use go when it is saved again (from_pretrained, save_pretrained)",
        )


def _without_stale_quantization(stored: StoredModel, folder: Path, allow_remote_code: bool) -> dict[str, Any]:
    """A config without `quantization_config`, where config.json has one and the weights are plain; else nothing."""
    if QUANTIZATION not in stored.config or not is_plain(stored):
        return {}
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(folder, trust_remote_code=allow_remote_code, local_files_only=True)
    del config.quantization_config
    say("models", f"{stored.reference}: its weights are plain; {QUANTIZATION} in its config.json is ignored")
    return {"config": config}


@contextmanager
def _quiet() -> Iterator[None]:
    """Hide progress bars and transformers' own table of mismatches: the error lists them."""
    from transformers.utils import logging

    before, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(before)
        if bars:
            logging.enable_progress_bar()


def _unloadable(kind: str, reference: str, folder: Path, error: Exception) -> ModelError:
    reason = (str(error).strip() or type(error).__name__).splitlines()[0]
    if "trust_remote_code" in str(error):
        return ModelError(
            f"{reference!r} cannot be loaded from {folder}: {reason}",
            rule="code that comes with a model is not run unless allow_remote_code is set",
            remedy="set allow_remote_code if you trust its author, or choose another model",
        )
    return ModelError(
        f"{reference!r} cannot be loaded from {folder}: {reason}",
        rule=f"{MESSAGES[kind]} in safetensors, of an architecture that transformers supports",
        remedy="check that the model's folder is complete, or choose another model",
    )
