"""Changes of a saved model's files, such as users' own models have."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file

Tensors = dict[str, torch.Tensor]


def read_weights(folder: Path) -> Tensors:
    """All tensors of a model's safetensors files."""
    found: Tensors = {}
    for path in sorted(folder.glob("model*.safetensors")):
        with safe_open(path, framework="pt") as file:
            found |= {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
    return found


def edit_weights(folder: Path, change: Callable[[Tensors], Tensors]) -> Path:
    """Replace the tensors of a model of one file."""
    save_file(change(read_weights(folder)), folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def without(*parts: str) -> Callable[[Tensors], Tensors]:
    """Leave out the tensors whose names hold one of the parts."""
    return lambda tensors: {n: t for n, t in tensors.items() if not any(part in n for part in parts)}


def adding(**tensors: torch.Tensor) -> Callable[[Tensors], Tensors]:
    """Add tensors; `__` in a name is a dot."""
    return lambda given: given | {name.replace("__", "."): tensor for name, tensor in tensors.items()}


def edit_config(folder: Path, name: str = "config.json", **changed: Any) -> Path:
    """Change fields of a JSON file; None removes one."""
    path = folder / name
    config = json.loads(path.read_text()) | changed
    path.write_text(json.dumps({key: value for key, value in config.items() if value is not None}))
    return folder


def split_weights(folder: Path, files: int = 2) -> Path:
    """Spread the tensors over several files with an index, as large models have them."""
    tensors = read_weights(folder)
    (folder / "model.safetensors").unlink()
    places = {name: f"model-{1 + n % files:05}-of-{files:05}.safetensors" for n, name in enumerate(sorted(tensors))}
    for file in set(places.values()):
        part = {name: tensors[name] for name in tensors if places[name] == file}
        save_file(part, folder / file, metadata={"format": "pt"})
    index = {"metadata": {"total_size": sum(t.nbytes for t in tensors.values())}, "weight_map": places}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    return folder
