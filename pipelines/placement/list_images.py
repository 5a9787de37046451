"""The images that a site must mirror: those in rendered manifests, and those that a recipe runs in."""

import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from components.shared.errors import InputError
from components.shared.process.perform import explain_validation
from pipelines.placement.check_images import images_of_jobs, images_of_steps
from pipelines.placement.move_tasks import move_tasks
from pipelines.placement.placement import Placement
from pipelines.placement.task import Task

PLACEMENT_KEY = "placement.yaml"
"""The key of a ConfigMap that holds a placement, as in the chart's."""
STDIN = Path("-")
UNREAD = ("annotations", "binaryData", "data", "labels", "stringData")
"""Parts of an object with free text or data, in which `image` may mean anything."""


def list_images(files: Iterable[Path], placement: Placement | None = None, tasks: Sequence[Task] = ()) -> list[str]:
    """The references in files of manifests (`-`: standard input) and of a recipe, sorted, each once.

    Args:
        files: of manifests.
        placement: the recipe's.
        tasks: the recipe's.

    Raises:
        InputError: a file cannot be read, or does not contain manifests.
    """
    found = {image for file in files for document in _documents(file) for image in images_in(document, str(file))}
    if placement is not None:
        moved = move_tasks(placement, tasks)
        found |= {*images_of_steps(placement, moved), *images_of_jobs(moved)}
    return sorted(found)


def images_in(part: Any, where: str) -> Iterator[str]:
    """Every image in a part of a manifest of any kind: pods, pod templates, the operators' jobs.

    Raises:
        InputError: it contains a placement that is not valid.
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
        raise InputError(f"{where}: {PLACEMENT_KEY} of a ConfigMap is not a valid placement: {why}") from error
    yield from images_of_steps(placement)
    yield from placement.images.values()
    yield from (job.pods.image for job in placement.jobs.values() if job.on_cluster and job.pods.image)


def _documents(file: Path) -> Iterator[Any]:
    try:
        text = sys.stdin.read() if file == STDIN else file.read_text(encoding="utf-8")
        documents = [document for document in yaml.load_all(text, Loader=_loader()) if document]
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"{file} cannot be read: {error}", remedy="pass YAML files, or - for standard input"
        ) from error
    except yaml.YAMLError as error:
        raise InputError(f"{file}: not YAML: {error}", remedy="pass the output of `helm template`") from error
    if not documents or not all(isinstance(document, dict) for document in documents):
        raise InputError(
            f"{'standard input' if file == STDIN else file} contains no manifests",
            rule="Kubernetes objects in YAML",
            remedy="helm template RELEASE CHART | tutelage images",
        )
    yield from documents


def _loader() -> Any:
    """libyaml's loader if available: operators' manifests have megabytes."""
    return getattr(yaml, "CSafeLoader", yaml.SafeLoader)
