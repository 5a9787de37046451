"""Whether models can be merged: equal tokenizer, vocabulary, chat template, configuration and tensor shapes.

Weights that stand for different tokens, or that were trained behind different templates, can be averaged without
an error and give nonsense; so a difference is refused, and the message says where it is.
"""

import difflib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from components.shared.errors import ModelError

SHOWN = 5
# Fields of config.json that change neither what a weight means nor its shape: who wrote the file, training-time
# dropout and initialisation, and ids of special tokens (trainers align them; the tokenizer's own are compared).
UNIMPORTANT = frozenset(
    {
        *("_name_or_path", "transformers_version", "torch_dtype", "dtype", "use_cache", "use_mrope", "pretraining_tp"),
        *("attention_dropout", "hidden_dropout", "dropout", "initializer_range", "gradient_checkpointing"),
        *("bos_token_id", "eos_token_id", "pad_token_id", "unk_token_id"),
    }
)


def require_compatible(folders: dict[str, Path]) -> None:
    """Compare every model with the first.

    Args:
        folders: local folders by the models' names.

    Raises:
        ModelError: two models differ; the message names them and lists the first differences.
    """
    (first, reference), *rest = folders.items()
    for name, folder in rest:
        for what, compare, remedy in COMPARISONS:
            differences = list(compare(reference, folder))
            if differences:
                raise _refusal(what, first, name, differences, remedy)


def _refusal(what: str, first: str, name: str, differences: list[str], remedy: str) -> ModelError:
    shown = [f"    {line}" for line in differences[:SHOWN]]
    left = len(differences) - len(shown)
    more = [f"    … and {left} more"] if left else []
    lines = "\n".join([*shown, *more])
    return ModelError(
        f"{first!r} and {name!r} cannot be merged: their {what} differ ({first!r} | {name!r}):\n{lines}",
        rule="merged models have one tokenizer, vocabulary, chat template and architecture",
        remedy=remedy,
    )


def config_differences(first: Path, second: Path) -> Iterator[str]:
    """Fields of config.json that differ, as `FIELD: A | B`."""
    ours, theirs = (json.loads((folder / "config.json").read_text()) for folder in (first, second))
    for field in sorted(ours.keys() | theirs.keys()):
        if field not in UNIMPORTANT and ours.get(field) != theirs.get(field):
            yield f"{field}: {_short(ours.get(field))} | {_short(theirs.get(field))}"


def vocabulary_differences(first: Path, second: Path) -> Iterator[str]:
    """Token ids, added ones included, that stand for different tokens, as `id N: 'A' | 'B'`."""
    ours, theirs = ({id_: token for token, id_ in _tokenizer(path).get_vocab().items()} for path in (first, second))
    for id_ in sorted(ours.keys() | theirs.keys()):
        if ours.get(id_) != theirs.get(id_):
            yield f"id {id_}: {_short(ours.get(id_))} | {_short(theirs.get(id_))}"


def tokenizer_differences(first: Path, second: Path) -> Iterator[str]:
    """What splits text and marks special tokens, where it differs, as `PART: A | B`."""
    ours, theirs = (_tokenizer_parts(_tokenizer(path)) for path in (first, second))
    for part in ours:
        if ours[part] != theirs[part]:
            yield f"{part}: {_short(ours[part])} | {_short(theirs[part])}"


def template_differences(first: Path, second: Path) -> Iterator[str]:
    """Lines of the chat template that differ, with their numbers in the first."""
    ours, theirs = ((_tokenizer(path).chat_template or "").splitlines() for path in (first, second))
    matcher = difflib.SequenceMatcher(None, ours, theirs, autojunk=False)
    for tag, start, end, other_start, other_end in matcher.get_opcodes():
        if tag != "equal":
            here, there = "\n".join(ours[start:end]), "\n".join(theirs[other_start:other_end])
            yield f"line {start + 1}: {_short(here or None)} | {_short(there or None)}"


def tensor_differences(first: Path, second: Path) -> Iterator[str]:
    """Tensors that only one has, or whose shapes differ, as `NAME: [ROWS, COLUMNS] | …`."""
    ours, theirs = tensor_shapes(first), tensor_shapes(second)
    for name in sorted(ours.keys() | theirs.keys()):
        if ours.get(name) != theirs.get(name):
            yield f"{name}: {ours.get(name, 'missing')} | {theirs.get(name, 'missing')}"


def tensor_shapes(folder: Path) -> dict[str, list[int]]:
    """Shape of every tensor of a model, from the headers of its safetensors files."""
    from safetensors import safe_open

    shapes: dict[str, list[int]] = {}
    for path in sorted(folder.glob("*.safetensors")):
        with safe_open(path, framework="numpy") as file:
            shapes.update({name: file.get_slice(name).get_shape() for name in file.keys()})  # noqa: SIM118 - no mapping
    return shapes


def _tokenizer(folder: Path) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)


def _tokenizer_parts(tokenizer: Any) -> dict[str, Any]:
    parts: dict[str, Any] = {"special tokens": dict(tokenizer.special_tokens_map)}
    parts["added tokens"] = {id_: str(token) for id_, token in tokenizer.added_tokens_decoder.items()}
    backend = getattr(tokenizer, "backend_tokenizer", None)
    whole = json.loads(backend.to_str()) if backend is not None else {}
    # `padding` and `truncation` are left out: they are a caller's last settings, not the tokenizer's.
    for part in ("normalizer", "pre_tokenizer", "post_processor", "decoder"):
        parts[part] = whole.get(part)
    parts["merges"] = whole.get("model", {}).get("merges")
    return parts


def _short(value: Any) -> str:
    text = "nothing" if value is None else repr(value)
    return text if len(text) <= 100 else text[:99] + "…"


TRAIN_REMEDY = "merge models that were trained from the same base, with the base's tokenizer and template unchanged"
COMPARISONS: tuple[tuple[str, Callable[[Path, Path], Iterator[str]], str], ...] = (
    ("configurations", config_differences, "merge models of one architecture and size"),
    ("vocabularies", vocabulary_differences, TRAIN_REMEDY),
    ("tokenizers", tokenizer_differences, TRAIN_REMEDY),
    ("chat templates", template_differences, TRAIN_REMEDY),
    ("tensors", tensor_differences, "merge whole models; join LoRA adapters to their base first"),
)
