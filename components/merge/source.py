"""A model to merge: its files, and how they are presented to mergekit."""

import json
from dataclasses import dataclass
from pathlib import Path

from components.models.stored.load_weights import require_fitting
from components.models.stored.quantization import QUANTIZATION, require_plain
from components.models.stored.stored_model import CONFIG, INDEX, StoredModel, read_folder
from components.models.stored.tied_heads import repeated_heads

DTYPES = {"F32": "float32", "BF16": "bfloat16", "F16": "float16"}
"""torch's names of the types that are written, by safetensors' names."""

FLOATS = DTYPES | {"F64": "float64"}
"""Of those that are read and merged."""


@dataclass(frozen=True)
class MergeSource:
    """A model's folder on this machine.

    Attributes:
        folder: where it is.
        stored: its files' headers and configuration.
        redundant: tensors that duplicate tied ones, as some programs write them.
    """

    folder: Path
    stored: StoredModel
    redundant: frozenset[str]

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape by name, without what is redundant."""
        return {name: tensor.shape for name, tensor in self.stored.tensors.items() if name not in self.redundant}

    @property
    def dtype(self) -> str:
        """The type of the weights by torch's name: config.json's, or that of most weights where it is wider."""
        stated = self.stored.config.get("dtype") or self.stored.config.get("torch_dtype")
        elements = dict.fromkeys(DTYPES.values(), 0)
        for tensor in self.stored.tensors.values():
            if tensor.dtype in DTYPES:
                elements[DTYPES[tensor.dtype]] += tensor.elements
        most = max(elements, key=lambda name: elements[name])
        return "float32" if "float32" in {stated, most} else most


def open_source(name: str, folder: Path) -> MergeSource:
    """Examine a model before it is merged; of its weights only tied ones are read.

    Raises:
        ModelError: it is not complete, does not fit its config.json, or is quantised.
    """
    stored = read_folder(folder, name)
    require_plain(stored, "merging")
    model = require_fitting(folder, name)
    redundant = repeated_heads(folder, stored) if model.config.tie_word_embeddings else frozenset[str]()
    return MergeSource(folder, stored, redundant)


def show_to_mergekit(source: MergeSource, place: Path) -> None:
    """Make a folder of links to the model's files, with an index of its tensors.

    mergekit prefers an index to a single file, transformers the reverse; other files are left out.
    """
    place.mkdir()
    for path in source.folder.iterdir():
        weights = path.suffix in {".safetensors", ".bin", ".pt", ".pth"} or path.name.endswith(".index.json")
        if path.is_file() and path.name != CONFIG and (not weights or path.name in source.stored.files):
            (place / path.name).symlink_to(path.resolve())
    places = {name: source.stored.tensors[name].file for name in source.shapes}
    (place / INDEX).write_text(json.dumps({"metadata": {}, "weight_map": places}))
    config = {key: value for key, value in source.stored.config.items() if key != QUANTIZATION}
    (place / CONFIG).write_text(json.dumps(config))
