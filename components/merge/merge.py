"""Merge models on the CPU, from local copies, and store the results."""

import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from components.merge.compatible import require_compatible
from components.merge.make_models import make_models
from components.merge.run_mergekit import mergekit_config
from components.merge.settings import MergeSettings
from components.merge.step import MERGED, STEP
from components.models.reference import MODEL_PART, as_parent, local_model
from components.models.stored.stored_model import read_tensors
from components.shared.errors import InputError
from components.shared.log import say
from components.shared.outputs.library import Library
from components.shared.outputs.manifest import Cost, Manifest
from components.shared.outputs.output import Output

RECIPE = "mergekit.yaml"


@dataclass(frozen=True)
class _Merge:
    """One merge of the step, and where its result goes."""

    settings: MergeSettings
    output: Output


def merge_models(
    library: Library, settings: MergeSettings, models: Mapping[str, str], others: Sequence[MergeSettings] = ()
) -> Manifest:
    """Merge the models that the settings name.

    Args:
        library: where outputs are stored.
        settings: method, models and parameters.
        models: references by name; those that the settings do not name are ignored.
        others: further merges of the same models, which are made in the same pass over the sources, each at its own
            address; not those that are complete, or that another process is making.

    Returns:
        The manifest of an address with the merged model in `model/` and mergekit's configuration in `mergekit.yaml`.

    Raises:
        InputError: the settings name a model that is not among `models`, or `others` read other models.
        ModelError: the models cannot be loaded, or differ in what must be equal.
    """
    chosen = {name: _reference(name, models) for name in settings.used}
    parents = {name: as_parent(place) for name, place in chosen.items()}
    own, *rest = (_Merge(one, Output(library, MERGED, one, parents)) for one in _sweep(settings, others))
    manifest = own.output.made(lambda: _make([own], rest, chosen)[0])
    _make([], rest, chosen)
    return manifest


def _sweep(settings: MergeSettings, others: Sequence[MergeSettings]) -> list[MergeSettings]:
    for other in others:
        if not settings.reads_alike(other):
            raise InputError(
                f"a merge of {', '.join(other.used)} cannot be made with one of {', '.join(settings.used)}",
                rule="merges that are made together read the same models, by methods that do not need mergekit",
                remedy="make them one by one",
            )
    return [settings, *others]


def _make(held: Sequence[_Merge], free: Sequence[_Merge], chosen: Mapping[str, str]) -> list[Manifest]:
    """Make the merges whose lease is held, and of the free ones those that nobody makes."""
    with ExitStack() as stack:
        merges = [*held, *(merge for merge in free if merge.output.claimed(stack))]
        if not merges:
            return []
        began = time.monotonic()
        sources = require_compatible({name: local_model(place) for name, place in chosen.items()})
        for merge in merges:
            say(STEP.name, f"{merge.settings.method} of {', '.join(merge.settings.used)}")
        with tempfile.TemporaryDirectory(prefix="tutelage-merge-") as scratch:
            folders = make_models([merge.settings for merge in merges], sources, Path(scratch))
            for merge, folder in zip(merges, folders, strict=True):
                merge.output.write_folder(folder, MODEL_PART)
                merge.output.write_bytes(RECIPE, _as_yaml(mergekit_config(merge.settings)))
            cost = Cost(seconds=round((time.monotonic() - began) / len(merges), 3))
            counts = [_counts(folder, len(sources)) for folder in folders]
        return [merge.output.finish(count, cost) for merge, count in zip(merges, counts, strict=True)]


def summarise(library: Library, manifest: Manifest) -> str:
    """What was merged, as Markdown."""
    parents = "\n".join(f"| {name} | `{parent.address}` |" for name, parent in manifest.parents.items())
    recipe = library.read_bytes(manifest, RECIPE).decode()
    counts = manifest.counts
    return (
        f"# Merge: {manifest.settings['method']}\n\n"
        f"{counts['parameters']:,.0f} parameters in {counts['tensors']:.0f} tensors\n\n"
        f"| model | address |\n|---|---|\n{parents}\n\n```yaml\n{recipe}```\n"
    )


def _reference(name: str, models: Mapping[str, str]) -> str:
    if name not in models:
        raise InputError(
            f"the merge names model {name!r}, which is not an input of the step",
            rule="models and base name models of the step's input",
            allowed=sorted(models),
            remedy="correct the name, or train that variant",
        )
    return models[name]


def _counts(merged: Path, models: int) -> dict[str, float]:
    tensors = read_tensors(merged).values()
    return {"models": models, "tensors": len(tensors), "parameters": sum(tensor.elements for tensor in tensors)}


def _as_yaml(config: dict[str, Any]) -> bytes:
    return yaml.safe_dump(config, sort_keys=False, allow_unicode=True).encode()
