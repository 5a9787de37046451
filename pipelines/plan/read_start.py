"""The files that show the shape of the model that a training starts from: never its weights."""

from pathlib import Path

from components.models.reference import is_hub_id
from components.models.stored.config_shape import model_by_config
from components.models.stored.stored_model import CONFIG, StoredModel, read_folder, read_model
from components.shared.errors import InputError, ModelError, StoreError


def read_start(reference: str, config: Path | None = None) -> tuple[StoredModel, str]:
    """A model's config.json with the headers of its weights, or config.json alone, and where they were read.

    A hub id is looked up in the local cache, then asked of the hub.

    Args:
        reference: of the model, as a recipe has it.
        config: a config.json, or a folder with one, in place of the reference.

    Raises:
        ModelError: there is no such model, or its config.json does not show its shape.
        InputError: it cannot be read from this machine.
    """
    if config is not None:
        return _of_folder(config, reference)
    if is_hub_id(reference):
        return _of_hub(reference)
    try:
        model = read_model(reference)
    except StoreError as error:
        raise _unread(reference, str(error.problem)) from error
    if model is None:
        raise _unread(reference, "its files cannot be listed")
    return model, reference


def _of_folder(path: Path, reference: str) -> tuple[StoredModel, str]:
    """A folder on this machine, or the config.json in it; weights that are there show more than it does."""
    file = path / CONFIG if path.is_dir() else path
    if path.is_dir() and any(path.glob("*.safetensors")):
        try:
            return read_folder(path, reference), f"{path}"
        except ModelError:
            # Of a cache that was filled in part: the shape is in config.json too.
            return model_by_config(file, reference), f"{file} alone"
    return model_by_config(file, reference), f"{file} alone"


def _of_hub(reference: str) -> tuple[StoredModel, str]:
    from huggingface_hub import try_to_load_from_cache

    name, _, revision = reference.partition("@")
    cached = try_to_load_from_cache(name, CONFIG, revision=revision or None)
    if isinstance(cached, str):
        return _of_folder(Path(cached).parent, reference)
    model = read_model(reference)
    if model is None:
        raise _unread(reference, "it is not in the local cache, and the hub cannot be asked from here")
    return model, f"the hub: {reference}"


def _unread(reference: str, why: str) -> InputError:
    return InputError(
        f"the shape of {reference!r} cannot be read: {why}",
        rule="a plan needs the config.json of the model that training starts from, and none of its weights",
        remedy="--config FILE: its config.json, or a folder with it",
    )
