"""Merges by a method that mergekit runs: on the CPU, with every tensor of all models in memory at its turn."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from components.merge.methods.registry import METHODS
from components.merge.settings import MergeSettings
from components.merge.source import MergeSource, show_to_mergekit
from components.models.offline import stay_offline
from components.shared.errors import ModelError


def mergekit_config(settings: MergeSettings) -> dict[str, Any]:
    """mergekit's configuration, with the models' names where a run has paths."""
    written = {} if settings.dtype == "auto" else {"out_dtype": settings.dtype}
    return {**METHODS[settings.method].configure(settings), "dtype": "float32", **written}


def run_mergekit(settings: MergeSettings, sources: Mapping[str, MergeSource], scratch: Path) -> Path:
    """Run mergekit on links to the models (it reads `@` and `+` in a path as a revision and an adapter).

    Args:
        settings: method, models and parameters.
        sources: the models, by name.
        scratch: an empty folder.

    Returns:
        A folder below `scratch` with config.json and the merged weights.

    Raises:
        ModelError: mergekit does not know the architecture, or finds names that it does not expect.
    """
    stay_offline()
    from mergekit.config import MergeConfiguration
    from mergekit.merge import run_merge
    from mergekit.options import MergeOptions

    logging.getLogger("mergekit").setLevel(logging.ERROR)
    places = {name: scratch / f"in{number}" for number, name in enumerate(sources)}
    for name, place in places.items():
        show_to_mergekit(sources[name], place)
    config = _with_paths(mergekit_config(settings), {name: str(place) for name, place in places.items()})
    config.setdefault("out_dtype", sources[settings.donor].dtype)
    merged = scratch / "merged"
    options = MergeOptions(
        copy_tokenizer=False,
        safe_serialization=True,
        lazy_unpickle=False,
        trust_remote_code=False,
        write_model_card=False,
        random_seed=settings.seed,
        device="cpu",
        quiet=True,
    )
    try:
        run_merge(MergeConfiguration.model_validate(config), str(merged), options=options)
    except (RuntimeError, KeyError, ValueError, NotImplementedError) as error:
        raise ModelError(
            f"mergekit cannot merge {', '.join(sources)}: {(str(error) or type(error).__name__).splitlines()[0]}",
            rule="models are merged tensor by tensor, by mergekit's description of their architecture",
            remedy="merge models of an architecture that mergekit knows, saved under their current tensor names",
        ) from error
    return merged


def _with_paths(config: dict[str, Any], places: Mapping[str, str]) -> dict[str, Any]:
    models = [{**entry, "model": places[entry["model"]]} for entry in config["models"]]
    return {**config, "base_model": places[config["base_model"]], "models": models}
