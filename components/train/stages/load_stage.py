"""Loads the stages of one process: only their tensors are read, and only these take memory."""

# ruff: noqa: TID253 - imported by the job's own program only

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch

from components.models.stored.load_weights import model_without_weights, require_fitting
from components.models.stored.stored_model import StoredModel, read_folder, shown
from components.shared.errors import ModelError
from components.train.engine.load_model import freeze_other_towers
from components.train.engine.make_trainer import require_no_router_loss, with_adapters
from components.train.engine.weight_layout import find_layout, require_place
from components.train.settings import TrainSettings
from components.train.stages.parts import Parts, find_parts, keep_stage


def load_outline(folder: Path, reference: str, settings: TrainSettings) -> Any:
    """The complete model without weights, on torch's meta device, with adapters where the settings ask for them.

    Raises:
        ModelError: the files do not fit the model, or hold tensors that are loaded as parts of others.
    """
    model = require_fitting(folder, reference, allow_remote_code=settings.allow_remote_code)
    stored = read_folder(folder, reference)
    require_place(model, stored)
    require_no_router_loss(model)
    if joined := find_layout(model, stored).joined:
        raise ModelError(
            f"{len(joined)} tensors of {reference!r} are loaded as parts of others: {shown(sorted(joined))}",
            rule="a stage reads its own tensors from the files, one to one",
            remedy="leave stages out: train this model with data parallelism",
        )
    freeze_other_towers(model)
    return adapted(model, settings)


def load_stages(
    folder: Path, reference: str, settings: TrainSettings, spans: list[tuple[int, int]]
) -> list[tuple[Any, Parts]]:
    """A model for each span of layers [first, end), with that stage's weights, and where its parts were.

    New adapters are those that one process would draw: they are drawn for all layers, before the others are dropped.
    """
    stored = read_folder(folder, reference)
    places = {
        own: name
        for name, own in find_layout(
            require_fitting(folder, reference, allow_remote_code=settings.allow_remote_code), stored
        ).renamed.items()
    }
    return [_load(folder, stored, places, settings, span) for span in spans]


def _load(
    folder: Path, stored: StoredModel, places: dict[str, str], settings: TrainSettings, span: tuple[int, int]
) -> tuple[Any, Parts]:
    model = model_without_weights(folder, dtype_of(settings), allow_remote_code=settings.allow_remote_code)
    model.tie_weights()
    # Tied weights are one tensor with several names, and any of them may be the stored one.
    sources = {id(tensor): places[name] for name, tensor in _tensors(model) if name in places}
    weights = {id(weight): name for name, weight in model.named_parameters()}
    freeze_other_towers(model)
    parts = find_parts(model)
    whole = adapted(model, settings)
    keep_stage(model, parts, span)
    with ExitStack() as stack, torch.no_grad():
        files = {file: stack.enter_context(_opened(folder / file)) for file in stored.files}
        for tensor in {id(tensor): tensor for _, tensor in _tensors(whole)}.values():
            if (name := sources.get(id(tensor))) is not None:
                tensor.copy_(files[stored.tensors[name].file].get_tensor(name))
            elif id(tensor) in weights:
                raise ModelError(
                    f"the files of {stored.reference!r} lack {weights[id(tensor)]}",
                    rule="a stage reads its own tensors from the files, one to one",
                    remedy="save the start again with this version of transformers (from_pretrained, save_pretrained)",
                )
    return whole, parts


def dtype_of(settings: TrainSettings) -> torch.dtype:
    """Of a stage's weights, and of the states that stages send."""
    return torch.bfloat16 if settings.precision == "bf16" else torch.float32


def _opened(path: Path) -> Any:
    from safetensors import safe_open

    return safe_open(path, framework="pt")


def _tensors(model: Any) -> Iterator[tuple[str, torch.Tensor]]:
    yield from model.named_parameters(remove_duplicate=False)
    yield from model.named_buffers()


def adapted(model: Any, settings: TrainSettings) -> Any:
    """The model with adapters where the settings ask for them, as without stages."""
    arguments = SimpleNamespace(deepspeed_plugin=None, activation_checkpointing=bool(settings.gradient_checkpointing))
    return with_adapters(model, settings, arguments)
