"""Tokens at which a model's generation stops."""

import json
from pathlib import Path
from typing import Any

from components.shared.errors import ModelError


def end_ids_of(model: Any) -> frozenset[int]:
    """Ids at which a loaded model's generation stops."""
    generation = getattr(model, "generation_config", None)
    return _as_ids(getattr(generation, "eos_token_id", None))


def end_ids_in(folder: Path) -> frozenset[int]:
    """The same, of a model in a folder: as in its generation_config.json, or its config.json where that is missing.

    Raises:
        ModelError: the file is damaged.
    """
    for name in ("generation_config.json", "config.json"):
        path = folder / name
        if path.exists():
            return _as_ids(_read(path).get("eos_token_id"))
    return frozenset()


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ModelError(f"{path} is damaged: {error}", remedy="download the model's files again") from error
    return found if isinstance(found, dict) else {}


def _as_ids(value: Any) -> frozenset[int]:
    """A configuration contains none, one, or a list of them."""
    return frozenset(value if isinstance(value, list) else {value} - {None})
