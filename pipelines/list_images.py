"""Which images a site has to mirror: those that rendered manifests name, and those that a recipe would run in."""

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from components.shared.errors import InputError
from components.shared.step import explain_validation
from pipelines.doctor_cluster import images_of
from pipelines.move_jobs import move_jobs
from pipelines.placement import KINDS, Placement
from pipelines.recipe import Recipe

PLACEMENT_KEY = "placement.yaml"
"""The key of a ConfigMap, such as the chart makes, that holds a placement: what steps and jobs run in."""
STDIN = Path("-")
UNREAD = ("annotations", "binaryData", "data", "labels", "stringData")
"""Parts of an object that hold a person's words, in which `image` may mean anything."""


def list_images(files: Iterable[Path], recipe: Recipe | None = None) -> list[str]:
    """The references in files of manifests (`-`: standard input) and of a recipe with its placement, sorted, each once.

    Raises:
        InputError: a file cannot be read, or holds no manifests.
    """
    found = {image for file in files for document in _documents(file) for image in images_in(document, str(file))}
    if recipe is not None:
        found |= images_of(recipe.placement, move_jobs(recipe)).keys()
    return sorted(found)


def images_in(part: Any, where: str) -> Iterator[str]:
    """Every image in a part of a manifest, whatever its kind: pods, templates of pods, jobs of the operators.

    Raises:
        InputError: a placement in it is none.
    """
    if isinstance(part, list):
        for each in part:
            yield from images_in(each, where)
    if not isinstance(part, dict) or part.get("kind") == "CustomResourceDefinition":
        return
    if part.get("kind") == "ConfigMap" and PLACEMENT_KEY in (part.get("data") or {}):
        yield from _of_placement(part["data"][PLACEMENT_KEY], where)
    for key, value in part.items():
        if key == "image" and _named(value):
            yield _named(value)
        elif key not in UNREAD:
            yield from images_in(value, where)


def _named(value: Any) -> str:
    """The reference of a container's image, or of a volume that is an image."""
    reference = value.get("reference") if isinstance(value, dict) else value
    return reference if isinstance(reference, str) else ""


def _of_placement(text: str, where: str) -> Iterator[str]:
    try:
        placement = Placement.model_validate(yaml.safe_load(text))
    except (yaml.YAMLError, ValidationError) as error:
        why = explain_validation(error) if isinstance(error, ValidationError) else str(error)
        raise InputError(f"{where}: {PLACEMENT_KEY} of a ConfigMap is no placement: {why}") from error
    yield from (placement.image_of(step) for step in KINDS)
    yield from (job.pods.image for job in placement.jobs.values() if job.on_cluster and job.pods.image)


def _documents(file: Path) -> Iterator[Any]:
    try:
        text = sys.stdin.read() if file == STDIN else file.read_text(encoding="utf-8")
        documents = [document for document in yaml.load_all(text, Loader=_loader()) if document]
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"{file} cannot be read: {error}", remedy="name files of YAML, or - for standard input"
        ) from error
    except yaml.YAMLError as error:
        raise InputError(f"{file}: not YAML: {error}", remedy="give it what `helm template` prints") from error
    if not documents or not all(isinstance(document, dict) for document in documents):
        raise InputError(
            f"{'standard input' if file == STDIN else file} holds no manifests",
            rule="objects of Kubernetes in YAML",
            remedy="helm template RELEASE CHART | tutelage images",
        )
    yield from documents


def _loader() -> Any:
    """libyaml's loader where there is one: operators' manifests are megabytes."""
    return getattr(yaml, "CSafeLoader", yaml.SafeLoader)
