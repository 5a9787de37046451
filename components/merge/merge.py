"""Merge models with mergekit, on the CPU, from local copies."""

import logging
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from components.merge.compatible import require_compatible
from components.merge.methods.registry import METHODS
from components.merge.settings import MergeSettings
from components.merge.source import Source, show_to_mergekit
from components.models.load_weights import require_fitting
from components.models.offline import stay_offline
from components.models.reference import MODEL_PART, as_parent, local_model
from components.models.stored_model import read_tensors
from components.shared.errors import InputError, ModelError
from components.shared.log import say
from components.shared.manifest import Manifest
from components.shared.output import Output
from components.shared.shards import read_bytes

STEP = "merge"
VERSION = 2
CONTENT = "model/1"
RECIPE = "mergekit.yaml"


def merge_models(root: str, settings: MergeSettings, models: Mapping[str, str]) -> Manifest:
    """Merge the models that the settings name.

    Args:
        root: the store's root URI.
        settings: method, models and parameters.
        models: references by name; those that the settings do not name are left alone.

    Returns:
        The manifest of an address with the merged model in `model/` and mergekit's configuration in `mergekit.yaml`.

    Raises:
        InputError: the settings name a model that is not given.
        ModelError: the models cannot be loaded, or differ in what must be equal.
    """
    chosen = {name: _reference(name, models) for name in settings.used}
    output = Output(root, STEP, VERSION, settings, {name: as_parent(place) for name, place in chosen.items()})
    if (manifest := output.manifest()) is not None:
        return manifest
    with output.writing():
        sources = require_compatible({name: local_model(place) for name, place in chosen.items()})
        say(STEP, f"{settings.method} of {', '.join(chosen)}")
        with tempfile.TemporaryDirectory(prefix="tutelage-merge-") as scratch:
            merged = _run_mergekit(settings, sources, Path(scratch))
            output.write_folder(merged, MODEL_PART)
            counts = _counts(merged, len(sources))
        output.write_bytes(RECIPE, _as_yaml(mergekit_config(settings)))
        return output.finish(CONTENT, counts)


def mergekit_config(settings: MergeSettings) -> dict[str, Any]:
    """mergekit's configuration, with the models' names where a run has paths."""
    written = {} if settings.dtype == "auto" else {"out_dtype": settings.dtype}
    return {**METHODS[settings.method].configure(settings), "dtype": "float32", **written}


def summarise(root: str, manifest: Manifest) -> str:
    """What was merged, as Markdown."""
    parents = "\n".join(f"| {name} | `{parent.address}` |" for name, parent in manifest.parents.items())
    recipe = read_bytes(root, manifest, RECIPE).decode()
    counts = manifest.counts
    return (
        f"# Merge: {manifest.settings['method']}\n\n"
        f"{counts['parameters']:,.0f} parameters in {counts['tensors']:.0f} tensors\n\n"
        f"| model | address |\n|---|---|\n{parents}\n\n```yaml\n{recipe}```\n"
    )


def _reference(name: str, models: Mapping[str, str]) -> str:
    if name not in models:
        raise InputError(
            f"the merge names model {name!r}, which the step is not given",
            rule="models and base name models of the step's input",
            allowed=sorted(models),
            remedy="correct the name, or train that variant",
        )
    return models[name]


def _run_mergekit(settings: MergeSettings, sources: Mapping[str, Source], scratch: Path) -> Path:
    """Run mergekit on links to the models (it reads `@` and `+` in a path as a revision and an adapter)."""
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
        copy_tokenizer=True,
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
    _require_whole(merged)
    return merged


def _with_paths(config: dict[str, Any], places: Mapping[str, str]) -> dict[str, Any]:
    models = [{**entry, "model": places[entry["model"]]} for entry in config["models"]]
    return {**config, "base_model": places[config["base_model"]], "models": models}


def _require_whole(merged: Path) -> None:
    """mergekit only logs it when a tokenizer cannot be copied; a model without one is of no use.

    Raises ModelError, also where the merged tensors are not those that its config.json asks for.
    """
    missing = [name for name in ("config.json", "tokenizer_config.json") if not (merged / name).exists()]
    if not any(merged.glob("*.safetensors")):
        missing.append("*.safetensors")
    if missing:
        raise ModelError(
            f"mergekit wrote no {', '.join(missing)}",
            rule="a merged model has weights, config and tokenizer",
            remedy="check that the base's folder holds its tokenizer",
        )
    require_fitting(merged, "the merged model")


def _counts(merged: Path, models: int) -> dict[str, float]:
    tensors = read_tensors(merged).values()
    return {"models": models, "tensors": len(tensors), "parameters": sum(tensor.elements for tensor in tensors)}


def _as_yaml(config: dict[str, Any]) -> bytes:
    return yaml.safe_dump(config, sort_keys=False, allow_unicode=True).encode()
