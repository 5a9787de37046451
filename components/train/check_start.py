"""Checks whether a training can start from a model: from its config.json, headers and tokenizer, without torch.

The train step checks before it starts a job, so before GPUs are allocated. A model on a hub is checked there where the
hub can be reached, else by the job once it is downloaded.
"""

import re
from pathlib import Path
from typing import Any

from components.models.stored.check_stored import OTHER_TOWERS, require_complete
from components.models.stored.quantization import require_plain
from components.models.stored.stored_model import StoredModel, read_folder, read_model, shown
from components.models.stored.stored_tokenizer import embedding_rows, require_embeddings, stored_tokens
from components.shared.errors import SettingsError
from components.shared.log import say
from components.train.settings import ALL_LINEAR, TrainSettings
from components.train.stages.settings import StageSettings

POSITION_TABLES = re.compile(r"(^|\.)(wpe|embed_positions|position_embeddings|positions_embed|wpos)\.weight$")
POSITION_COUNTS = ("max_position_embeddings", "n_positions", "n_ctx", "max_seq_len", "max_sequence_length")
FIXED_TABLES = frozenset({"gptj", "codegen", "ctrl", "mpt"})
"""Models that compute a table of positions once, as long as config.json says: no weight shows its size."""

PADDED_TABLES = frozenset(
    {"roberta", "xlm-roberta", "xlm-roberta-xl", "camembert", "data2vec-text", "roberta-prelayernorm"}
)
"""Models whose first position follows the padding token's id: the rows up to it are not positions."""


def check_start(reference: str, settings: TrainSettings, task: str) -> None:
    """Check a start where it is stored; a hub id passes where the hub cannot be reached, which is logged.

    Args:
        reference: the model's.
        settings: of the training.
        task: the step's name in logs.

    Raises:
        ModelError: the model is not complete, is quantised, or has tokens without embeddings.
        SettingsError: `max_length` exceeds its learned positions, a LoRA target is not one of its layers, or stages do
            not fit them.
    """
    model = read_model(reference)
    if model is not None:
        _check(model, settings, task)


def check_start_here(folder: Path, reference: str, settings: TrainSettings, task: str) -> None:
    """The same check for a folder of this machine, whatever the reference is."""
    _check(read_folder(folder, reference), settings, task)


def check_tokens(folder: Path, reference: str, tokenizer: Any) -> None:
    """Check what the files do not show: a tokenizer of SentencePiece alone, and tokens that transformers' class adds.

    Of the latter, only those that are put into rows count. Raises ModelError.
    """
    stored = read_folder(folder, reference)
    tokens = tokenizer.get_vocab()
    if stored_tokens(stored):
        used = {tokenizer.pad_token, tokenizer.eos_token}
        tokens = {token: id_ for token, id_ in tokens.items() if token in used}
    require_embeddings(reference, tokens, embedding_rows(stored))


def _check(model: StoredModel, settings: TrainSettings, task: str) -> None:
    require_complete(model)
    require_plain(model, "training")
    require_embeddings(model.reference, stored_tokens(model), embedding_rows(model))
    _check_positions(model, settings, task)
    _check_targets(model, settings)
    if settings.stages is not None:
        require_layers(settings.stages, model.text_config.get("num_hidden_layers"), settings.ranks, model.reference)


def learned_positions(model: StoredModel) -> int | None:
    """How many positions the model has where they are learned, or are a table of fixed size; else None.

    Rotary and ALiBi positions are computed for any length, so such models have no limit of this kind.
    """
    numbers = [value for key in POSITION_COUNTS if isinstance(value := model.text_config.get(key), int) and value > 0]
    kind = str(model.text_config.get("model_type", ""))
    rows = [
        tensor.shape[0]
        for name, tensor in model.tensors.items()
        if POSITION_TABLES.search(name) and len(tensor.shape) == 2 and not OTHER_TOWERS.search(name)
    ]
    if not rows and kind not in FIXED_TABLES:
        return None
    if kind in PADDED_TABLES and rows:
        return min(rows) - int(model.text_config.get("pad_token_id") or 0) - 1
    # Some tables have rows that are not positions (OPT: two), so config.json's number applies where it is smaller.
    return min([*numbers, *rows], default=None)


def require_layers(stages: StageSettings, layers: Any, ranks: int, reference: str) -> list[tuple[int, int]]:
    """The layers [first, end) of each stage. Raises SettingsError where they do not fit the model's.

    Args:
        stages: the training's.
        layers: `num_hidden_layers` of the model's configuration.
        ranks: processes that train together.
        reference: the model's.
    """
    if not isinstance(layers, int):
        raise SettingsError(
            f"the layers of {reference!r} cannot be found: its config.json has num_hidden_layers {layers!r}",
            rule="stages are made of consecutive layers of a decoder, which config.json counts",
            remedy="leave stages out, or start from a decoder of transformers",
        )
    try:
        return stages.spans(layers, ranks)
    except ValueError as error:
        raise SettingsError(
            f"{reference!r}: {error}",
            rule="each layer belongs to one stage, and each stage has a layer",
            allowed=[f"2 to {layers} stages", f"stages.layers that add up to {layers}"],
            remedy="change stages.layers, stages.count or stages.pipelines, or run on fewer processes",
        ) from error


def _check_positions(model: StoredModel, settings: TrainSettings, task: str) -> None:
    limit = learned_positions(model)
    if limit is not None and settings.max_length > limit:
        raise SettingsError(
            f"max_length {settings.max_length} is above the {limit} positions of {model.reference!r}",
            rule="a model with learned positions cannot read a longer row",
            remedy=f"set max_length to {limit} or less, or start from a model with more positions",
        )
    trained = model.text_config.get("max_position_embeddings")
    if limit is None and isinstance(trained, int) and settings.max_length > trained:
        say(
            task,
            f"max_length {settings.max_length} is above the {trained} positions that {model.reference!r} was made for; "
            "its positions are computed, so longer rows still train (rope scaling in config.json fits them)",
        )


def _check_targets(model: StoredModel, settings: TrainSettings) -> None:
    """Each LoRA target must name a layer with a matrix; peft itself raises only when none of them does."""
    targets = () if settings.lora is None else settings.lora.target_modules
    if targets == (ALL_LINEAR,) or not model.tensors:
        return
    layers = {
        name.removesuffix(".weight")
        for name, tensor in model.tensors.items()
        if name.endswith(".weight") and len(tensor.shape) == 2 and not OTHER_TOWERS.search(name)
    }
    require_targets(targets, layers, model.reference)


def require_targets(targets: tuple[str, ...], layers: set[str], reference: str) -> None:
    """Refuse targets that match none of the layers, as peft matches them: equal, or equal to the name's last parts.

    Raises:
        SettingsError: it lists the names of the layers.
    """
    unknown = [one for one in targets if not any(layer == one or layer.endswith(f".{one}") for layer in layers)]
    if unknown:
        raise SettingsError(
            f"lora.target_modules: {reference!r} lacks layer {shown(list(map(repr, unknown)))}",
            rule="a target is the last part of the name of one of the model's linear layers",
            allowed=[ALL_LINEAR, *sorted({layer.rpartition(".")[2] for layer in layers})],
            remedy=f"name layers of this model, or {ALL_LINEAR} alone",
        )
