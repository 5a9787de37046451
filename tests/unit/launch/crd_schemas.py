"""Validates objects against the operators' own CustomResourceDefinitions, and unlike the API server refuses unknown
fields, which it would drop silently."""

import gzip
import json
from pathlib import Path
from typing import Any

import jsonschema

CRDS = Path(__file__).parent / "crds"
METADATA = {"type": "object", "required": ["name"]}


def crd(name: str) -> dict[str, Any]:
    """A trimmed CustomResourceDefinition: KIND-VERSION."""
    found: dict[str, Any] = json.loads(gzip.decompress((CRDS / f"{name}.json.gz").read_bytes()))
    return found


def assert_valid(name: str, resource: dict[str, Any]) -> None:
    """Assert that a resource conforms to the CRD."""
    schema = _strict(crd(name)["spec"]["versions"][0]["schema"]["openAPIV3Schema"])
    schema["properties"]["metadata"] = METADATA
    jsonschema.Draft202012Validator(schema).validate(resource)


def _strict(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_strict(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    strict = {key: _strict(value) for key, value in schema.items()}
    if isinstance(schema.get("properties"), dict) and "x-kubernetes-preserve-unknown-fields" not in schema:
        strict.setdefault("additionalProperties", False)
    return strict
