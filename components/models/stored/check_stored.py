"""Checks without torch that a model's files are complete, by config.json and the headers of safetensors.

`load_weights.py` finds everything, but only when a model is loaded; these checks run before a job starts.
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

from components.models.stored.stored_model import ADAPTER_CONFIG, StoredModel, shown
from components.shared.errors import ModelError

WRAPPERS = ("base_model.model.", "module.", "_orig_mod.", "_forward_module.", "_fsdp_wrapped_module.")
"""Prefixes that peft, DistributedDataParallel, torch.compile, Lightning and FSDP add to a wrapped model's names."""

LAYER = re.compile(r"^(?P<stack>.*?\b(?:layers|h|blocks))\.(?P<number>\d+)\.")
EXPERT = re.compile(r"^(?P<group>.*\.experts)\.(?P<number>\d+)\.(?P<part>.+)$")
OTHER_TOWERS = re.compile(r"vision|visual|image|audio|speech|encoder|mtp|projector|resampler|perceiver|draft")
LAYER_COUNTS = ("num_hidden_layers", "n_layer", "num_layers", "n_layers")
MORE_LAYERS = ("num_nextn_predict_layers", "num_mtp_layers", "mtp_num_layers", "num_mtp_modules")
"""Layers for multi-token prediction, stored after the others and not loaded."""

EMBEDDINGS = re.compile(r"(^|\.)(embed_tokens|wte|word_embeddings|embed_in|tok_embeddings)\.weight$")
HEADS = re.compile(r"(^|\.)(lm_head|embed_out|output|head|output_layer|predictions\.decoder)\.weight$")


def require_complete(model: StoredModel, with_head: bool = True) -> None:
    """Refuse a model whose files do not match its config.json. Raises ModelError.

    Args:
        model: its files.
        with_head: whether it must have the output layer of a language model, unless that is tied to the embeddings.
    """
    _refuse_adapter(model)
    _refuse_wrapped(model)
    for problem in [*_layers(model), *_experts(model), *_embeddings(model), *(_head(model) if with_head else ())]:
        raise ModelError(
            f"{model.reference!r} does not match its config.json: {problem}",
            rule="a model's files contain every weight of its config.json and no other: missing ones would be random",
            remedy="copy the complete model again, with the config.json of its weights",
        )


def _refuse_adapter(model: StoredModel) -> None:
    if ADAPTER_CONFIG in model.names:
        only = "an adapter without" if not model.tensors else "an adapter beside"
        raise ModelError(
            f"{model.reference!r} contains {only} the model's own weights ({ADAPTER_CONFIG})",
            rule="a model is complete by itself; an adapter in its folder would be added to its weights on loading",
            remedy="merge the adapter (peft: merge_and_unload, then save_pretrained into another folder), or remove "
            "its files from the folder where it is merged already",
        )


def _refuse_wrapped(model: StoredModel) -> None:
    for prefix in WRAPPERS:
        wrapped = [name for name in model.tensors if name.startswith(prefix)]
        if wrapped and len(wrapped) > len(model.tensors) / 2:
            raise ModelError(
                f"{model.reference!r} names {len(wrapped)} tensors with {prefix!r} in front: {shown(wrapped, 3)}",
                rule="tensors have the names of the model's layers, not those of a wrapper",
                remedy="save the model inside the wrapper (peft: merge_and_unload; others: the wrapped .module)",
            )


def _layers(model: StoredModel) -> Iterator[str]:
    stacks: dict[str, set[int]] = defaultdict(set)
    for name in model.tensors:
        if (match := LAYER.match(name)) and not OTHER_TOWERS.search(match["stack"]):
            stacks[match["stack"]].add(int(match["number"]))
    counts = _counts(model.text_config, LAYER_COUNTS)
    if len(stacks) != 1 or not counts:
        return
    ((stack, found),) = stacks.items()
    more = {0, *_counts(model.text_config, MORE_LAYERS)}
    if found in [set(range(count + extra)) for count in counts for extra in more]:
        return
    wanted = max(counts)
    if missing := sorted(set(range(wanted)) - found):
        yield f"it has {wanted} layers by its config.json, and no tensors of {_numbered(stack, missing)}"
    else:
        extra = sorted(found - set(range(wanted)))
        yield f"it has {wanted} layers by its config.json, and its files also hold {_numbered(stack, extra)}"


def _experts(model: StoredModel) -> Iterator[str]:
    groups: dict[str, dict[str, set[int]]] = defaultdict(lambda: defaultdict(set))
    for name in model.tensors:
        if match := EXPERT.match(name):
            groups[match["group"]][match["part"]].add(int(match["number"]))
    for group, parts in groups.items():
        everyone = set(range(1 + max(map(max, parts.values()))))
        for part, found in parts.items():
            if missing := sorted(everyone - found):
                yield f"it lacks {shown([f'{group}.{number}.{part}' for number in missing])}"


def _embeddings(model: StoredModel) -> Iterator[str]:
    vocabulary = vocabulary_size(model.text_config)
    for name in embedding_names(model):
        rows = model.tensors[name].shape[0]
        if vocabulary is not None and rows < vocabulary:
            yield f"vocab_size is {vocabulary}, but {name} has {rows} rows"


def _head(model: StoredModel) -> Iterator[str]:
    """A missing output layer, where config.json states that it is not tied (the default differs between models)."""
    said = [config["tie_word_embeddings"] for config in (model.config, model.text_config) if _says_tied(config)]
    if said and not any(said) and embedding_names(model) and not any(map(HEADS.search, model.tensors)):
        yield "tie_word_embeddings is false, and there is no lm_head.weight"


def embedding_names(model: StoredModel) -> list[str]:
    """Names of the embedding matrices."""
    return [
        name
        for name, tensor in model.tensors.items()
        if EMBEDDINGS.search(name) and len(tensor.shape) == 2 and not OTHER_TOWERS.search(name)
    ]


def vocabulary_size(config: Mapping[str, Any]) -> int | None:
    """Rows of the embeddings by config.json."""
    return next(iter(_counts(config, ("vocab_size",))), None)


def _says_tied(config: Mapping[str, Any]) -> bool:
    return isinstance(config.get("tie_word_embeddings"), bool)


def _counts(config: Mapping[str, Any], keys: tuple[str, ...]) -> set[int]:
    """The integer values of the keys."""
    return {value for key in keys if isinstance(value := config.get(key), int) and not isinstance(value, bool)}


def _numbered(stack: str, numbers: list[int]) -> str:
    return shown([f"{stack}.{number}" for number in numbers])
