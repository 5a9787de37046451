"""Which shape of TrainJob the API server serves: those of Trainer 2.1 and 2.2 differ, but have the same version name.

The server's OpenAPI document shows it, which every authenticated account may read (the ClusterRole system:discovery).
A Role of a namespace cannot grant reading the CustomResourceDefinition itself.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from components.launch.api.resources import TRAINJOB, Object

Overrides = Literal["runtimePatches", "podTemplateOverrides"]
OVERRIDES: tuple[Overrides, ...] = ("runtimePatches", "podTemplateOverrides")
"""The field of a TrainJob that changes its pods: of Trainer 2.2 and later, and of 2.1."""


@dataclass(frozen=True)
class ServedTrainJob:
    """What a TrainJob can set on a cluster: how it changes its pods, and whether it has a deadline."""

    overrides: Overrides
    deadline: bool


def served_trainjob(document: Object) -> ServedTrainJob | None:
    """The shape of TrainJob in a document.

    Args:
        document: the group's OpenAPI v3 document, or the CustomResourceDefinition.

    Returns:
        None when it has no TrainJob of a known shape.
    """
    for schema in _schemas(document):
        fields = schema.get("properties", {}).get("spec", {}).get("properties", {})
        for overrides in OVERRIDES:
            if overrides in fields:
                return ServedTrainJob(overrides, deadline="activeDeadlineSeconds" in fields)
    return None


def _schemas(document: Object) -> Iterator[Object]:
    """The schemas of TrainJob in an OpenAPI document or a CustomResourceDefinition."""
    for schema in document.get("components", {}).get("schemas", {}).values():
        kinds = schema.get("x-kubernetes-group-version-kind", [])
        if any(each["kind"] == TRAINJOB.kind and each["version"] == TRAINJOB.version for each in kinds):
            yield schema
    if document.get("kind") == "CustomResourceDefinition":
        for version in document["spec"]["versions"]:
            if version["name"] == TRAINJOB.version and version["served"]:
                yield version["schema"]["openAPIV3Schema"]
