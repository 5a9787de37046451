"""Whether models can be merged: equal tokenizer, vocabulary, chat template, configuration and tensor shapes.

Averaging weights that belong to different tokens, or were trained with different templates, raises no error and yields
a useless model. So models that differ are refused, and the message shows where.
"""

import difflib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from components.merge.config_differences import config_differences, short
from components.merge.source import MergeSource, open_source
from components.shared.errors import ModelError

SHOWN = 5


def require_compatible(folders: dict[str, Path]) -> dict[str, MergeSource]:
    """Open every model, and compare it with the first.

    Args:
        folders: local folders by the models' names.

    Raises:
        ModelError: a model is not complete, or two of them differ; the message names them and the first differences.
    """
    sources = {name: open_source(name, folder) for name, folder in folders.items()}
    (first, reference), *rest = sources.items()
    for name, source in rest:
        for what, compare, remedy in COMPARISONS:
            differences = list(compare(reference, source))
            if differences:
                raise _refusal(what, first, name, differences, remedy)
    return sources


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


def vocabulary_differences(first: MergeSource, second: MergeSource) -> Iterator[str]:
    """Token ids, added ones included, of different tokens, as `id N: 'A' | 'B'`."""
    ours, theirs = ({id_: token for token, id_ in _tokenizer(source).get_vocab().items()} for source in (first, second))
    for id_ in sorted(ours.keys() | theirs.keys()):
        if ours.get(id_) != theirs.get(id_):
            yield f"id {id_}: {short(ours.get(id_))} | {short(theirs.get(id_))}"


def tokenizer_differences(first: MergeSource, second: MergeSource) -> Iterator[str]:
    """What splits text and marks special tokens, where it differs, as `PART: A | B`."""
    ours, theirs = (_tokenizer_parts(_tokenizer(source)) for source in (first, second))
    for part in ours:
        if ours[part] != theirs[part]:
            yield f"{part}: {short(ours[part])} | {short(theirs[part])}"


def template_differences(first: MergeSource, second: MergeSource) -> Iterator[str]:
    """Lines of the chat template that differ, with their numbers in the first."""
    ours, theirs = ((_tokenizer(source).chat_template or "").splitlines() for source in (first, second))
    matcher = difflib.SequenceMatcher(None, ours, theirs, autojunk=False)
    for tag, start, end, other_start, other_end in matcher.get_opcodes():
        if tag != "equal":
            here, there = "\n".join(ours[start:end]), "\n".join(theirs[other_start:other_end])
            yield f"line {start + 1}: {short(here or None)} | {short(there or None)}"


def tensor_differences(first: MergeSource, second: MergeSource) -> Iterator[str]:
    """Tensors that only one has, or whose shapes differ, as `NAME: [ROWS, COLUMNS] | …`, without a tied head."""
    ours, theirs = first.shapes, second.shapes
    for name in sorted(ours.keys() | theirs.keys()):
        if ours.get(name) != theirs.get(name):
            here, there = (list(one[name]) if name in one else "missing" for one in (ours, theirs))
            yield f"{name}: {here} | {there}"


def _tokenizer(source: MergeSource) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(source.folder, local_files_only=True, trust_remote_code=False)


def _tokenizer_parts(tokenizer: Any) -> dict[str, Any]:
    parts: dict[str, Any] = {"special tokens": dict(tokenizer.special_tokens_map)}
    parts["added tokens"] = {id_: str(token) for id_, token in tokenizer.added_tokens_decoder.items()}
    backend = getattr(tokenizer, "backend_tokenizer", None)
    whole = json.loads(backend.to_str()) if backend is not None else {}
    # Without `padding` and `truncation`, which hold the last call's settings.
    for part in ("normalizer", "pre_tokenizer", "post_processor", "decoder"):
        parts[part] = whole.get(part)
    parts["merges"] = whole.get("model", {}).get("merges")
    return parts


TRAIN_REMEDY = "merge models that were trained from the same base, with the base's tokenizer and template unchanged"
COMPARISONS: tuple[tuple[str, Callable[[MergeSource, MergeSource], Iterator[str]], str], ...] = (
    ("configurations", config_differences, "merge models of one architecture and size"),
    ("vocabularies", vocabulary_differences, TRAIN_REMEDY),
    ("tokenizers", tokenizer_differences, TRAIN_REMEDY),
    ("chat templates", template_differences, TRAIN_REMEDY),
    ("tensors", tensor_differences, "merge full models; merge LoRA adapters into their base first"),
)
