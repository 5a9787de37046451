"""The folder of this machine in which a training's tokenized rows are kept, named by the hash of what makes them."""

from importlib.metadata import version
from pathlib import Path
from typing import Any

from components.models.reference import UNSAFE_SUFFIXES, cache_folder
from components.shared.outputs.digest import Digester, digest_value, hex_of
from components.shared.outputs.manifest import Manifest
from components.train.methods.method import TrainingMethod
from components.train.settings import TrainSettings

WEIGHTS = (".safetensors", ".gguf", ".h5", ".msgpack", ".onnx", *UNSAFE_SUFFIXES)
CODE = ("models", "shared", "train")
"""Folders that hold the code that turns rows into tokens: a change of them ends all entries of the cache."""
ROOT = Path(__file__).parents[2]
PACKAGES = ("transformers", "tokenizers", "jinja2")


def token_cache(dataset: Manifest, method: TrainingMethod[Any], settings: TrainSettings, start: Path) -> Path:
    """The folder for the tokens of a dataset's rows.

    Args:
        dataset: the select step's output.
        method: the training method, which reads one part of it.
        settings: of the training.
        start: folder of the model, whose files other than weights are hashed: tokenizer, template and end tokens.
    """
    shards = [(shard.name, shard.digest) for shard in dataset.shards if shard.name.startswith(f"{method.part}/")]
    facts = {
        "rows": shards,
        "method": method.name,
        "settings": method.decides_tokens(settings),
        "start": _digest(start, [path for path in _beside_weights(start) if path.suffix not in WEIGHTS]),
        "code": _digest(ROOT, sorted(path for folder in CODE for path in (ROOT / folder).rglob("*.py"))),
        "versions": {name: version(name) for name in PACKAGES},
    }
    return cache_folder() / "tokens" / hex_of(digest_value(facts), 32)


def _beside_weights(start: Path) -> list[Path]:
    """Where transformers looks for what a tokenizer is made of."""
    return sorted([*start.glob("*"), *start.glob("additional_chat_templates/*")])


def _digest(folder: Path, paths: list[Path]) -> str:
    digester = Digester()
    for path in paths:
        if path.is_file():
            data = path.read_bytes()
            digester.update(f"{path.relative_to(folder)} {len(data)}\n".encode() + data)
    return digester.digest
