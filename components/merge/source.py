"""A model that is merged: its files as they are, and as mergekit is shown them."""

import json
from dataclasses import dataclass
from pathlib import Path

from components.models.load_weights import require_fitting
from components.models.quantization import QUANTIZATION, require_plain
from components.models.stored_model import CONFIG, INDEX, StoredModel, read_folder
from components.models.tied_heads import repeated_heads

DTYPES = {"F32": "float32", "BF16": "bfloat16", "F16": "float16"}


@dataclass(frozen=True)
class Source:
    """A model's folder on this machine.

    Attributes:
        folder: where it is.
        stored: what its files say.
        redundant: tensors that repeat tied ones, as some programs write them: the model has them without.
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
        """The type of the weights by torch's name: config.json's, or that of most of them where theirs is wider."""
        said = self.stored.config.get("dtype") or self.stored.config.get("torch_dtype")
        elements = dict.fromkeys(DTYPES.values(), 0)
        for tensor in self.stored.tensors.values():
            if tensor.dtype in DTYPES:
                elements[DTYPES[tensor.dtype]] += tensor.elements
        most = max(elements, key=lambda name: elements[name])
        return "float32" if "float32" in {said, most} else most


def open_source(name: str, folder: Path) -> Source:
    """Look at a model before it is merged; no weight but a tied one is read.

    Raises:
        ModelError: it is not complete, does not fit its config.json, or is quantised.
    """
    stored = read_folder(folder, name)
    require_plain(stored, "merging")
    model = require_fitting(folder, name)
    redundant = repeated_heads(folder, stored) if model.config.tie_word_embeddings else frozenset[str]()
    return Source(folder, stored, redundant)


def show_to_mergekit(source: Source, place: Path) -> None:
    """Make a folder of links that holds what the model is made of, with an index that names it.

    mergekit takes an index before a single file, and transformers the other way round; stray files are left out.
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
