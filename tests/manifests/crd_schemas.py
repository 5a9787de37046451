"""JSON schemas for kubeconform, made from what the API server and the operators themselves publish.

Built-in kinds come from Kubernetes' OpenAPI document, custom ones from the operators' CustomResourceDefinitions; both
are in the source of the Go modules from which the test cluster is built. The API server silently drops a field that it
does not know; the schemas refuse it.

    python -m tests.manifests.crd_schemas     # prints kubeconform's -schema-location
"""

import hashlib
import json
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from tests.cluster.node.build import source_of
from tests.cluster.node.places import CACHE
from tests.cluster.node.programs import JOBSET, KUBERAY, KUBERNETES, TRAINERS, TRAINING_OPERATOR, Program
from tests.manifests.versions import EXTERNAL_SECRETS, NEWER_KUEUE, PROMETHEUS_OPERATOR

Schema = dict[str, Any]

OPENAPI = "api/openapi-spec/swagger.json"
CRDS: dict[Program, str] = {
    JOBSET: "config/components/crd/bases/*.yaml",
    KUBERAY: "config/crd/bases/*.yaml",
    NEWER_KUEUE: "config/components/crd/bases/*.yaml",
    TRAINERS["2.3.0"]: "manifests/base/crds/*.yaml",
    TRAINING_OPERATOR: "manifests/base/crds/*.yaml",
    PROMETHEUS_OPERATOR: "example/prometheus-operator-crd/*monitors.yaml",
    EXTERNAL_SECRETS: "config/crds/bases/external-secrets.io_externalsecrets.yaml",
}
"""Where the operators' modules keep their CustomResourceDefinitions."""

LOCATION = "{{ .ResourceKind }}{{ .KindSuffix }}.json"
INT_OR_STRING: Schema = {"oneOf": [{"type": "string"}, {"type": "integer"}]}
NUMBER_OR_STRING: Schema = {"oneOf": [{"type": "string"}, {"type": "number"}]}
REFERENCE = "#/definitions/"


def schema_location() -> str:
    """kubeconform's -schema-location for all kinds; the schemas are made once for each set of versions.

    Raises:
        NodeError: a module cannot be fetched.
    """
    folder = CACHE / "schemas" / _key()
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as work:
            made = Path(work, "made")
            made.mkdir()
            write_schemas(made)
            shutil.copytree(made, folder, dirs_exist_ok=True)
    return f"{folder}/{LOCATION}"


def write_schemas(folder: Path) -> None:
    """Write a schema for each kind into a folder."""
    document = json.loads((source_of(KUBERNETES) / OPENAPI).read_text())
    for name, schema in (*builtin_schemas(document), *operators_schemas()):
        (folder / name).write_text(json.dumps(schema))


def file_name(kind: str, api_version: str) -> str:
    """The file in which kubeconform looks for a kind: KIND-GROUP-VERSION.json, of the group its first part."""
    group, _, version = api_version.rpartition("/")
    words = [kind.lower(), group.partition(".")[0], version] if group else [kind.lower(), version]
    return "-".join(words) + ".json"


def builtin_schemas(document: Schema) -> Iterator[tuple[str, Schema]]:
    """File names and schemas of the kinds in an OpenAPI 2 document."""
    definitions = {name: _strict(definition) for name, definition in document["definitions"].items()}
    definitions |= {
        "io.k8s.apimachinery.pkg.util.intstr.IntOrString": INT_OR_STRING,
        "io.k8s.apimachinery.pkg.api.resource.Quantity": NUMBER_OR_STRING,
    }
    for name, definition in document["definitions"].items():
        kinds = definition.get("x-kubernetes-group-version-kind", [])
        # Options and Status belong to every group; what a user writes belongs to one.
        if len(kinds) == 1:
            api_version = "/".join(filter(None, (kinds[0]["group"], kinds[0]["version"])))
            needed = {each: definitions[each] for each in sorted(_reachable(name, definitions))}
            whole = {**_of_kind(definitions[name], kinds[0]["kind"], api_version), "definitions": needed}
            yield file_name(kinds[0]["kind"], api_version), whole


def crd_schemas(crd: Schema) -> Iterator[tuple[str, Schema]]:
    """File names and schemas of the served versions of a CustomResourceDefinition."""
    group, kind = crd["spec"]["group"], crd["spec"]["names"]["kind"]
    for version in crd["spec"]["versions"]:
        if version["served"]:
            api_version = f"{group}/{version['name']}"
            schema = _strict(version["schema"]["openAPIV3Schema"])
            yield file_name(kind, api_version), _of_kind(schema, kind, api_version)


def operators_schemas() -> Iterator[tuple[str, Schema]]:
    """File names and schemas of all operators' kinds."""
    for program, files in CRDS.items():
        for crd in read_crds(program, files):
            yield from crd_schemas(crd)


def read_crds(program: Program, files: str) -> list[Schema]:
    """An operator's CustomResourceDefinitions, from its module."""
    read = (yaml.load(path.read_text(), Loader=yaml.CSafeLoader) for path in sorted(source_of(program).glob(files)))
    return [crd for crd in read if crd["kind"] == "CustomResourceDefinition"]


def _of_kind(schema: Schema, kind: str, api_version: str) -> Schema:
    """A kind's schema that a manifest has to name by its kind and version."""
    properties = {
        **schema.get("properties", {}),
        "apiVersion": {"enum": [api_version]},
        "kind": {"enum": [kind]},
    }
    required = {*schema.get("required", ()), "apiVersion", "kind", "metadata"} & set(properties)
    return {**schema, "properties": properties, "required": sorted(required)}


def _strict(schema: Any) -> Any:
    """A schema in JSON Schema's terms that refuses unknown fields."""
    if isinstance(schema, list):
        return [_strict(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    if schema.get("x-kubernetes-int-or-string"):
        return INT_OR_STRING
    strict = {key: _strict(value) for key, value in schema.items()}
    if isinstance(schema.get("properties"), dict) and "x-kubernetes-preserve-unknown-fields" not in schema:
        strict.setdefault("additionalProperties", False)
    if schema.get("nullable") and isinstance(schema.get("type"), str):
        strict["type"] = [schema["type"], "null"]
    return strict


def _reachable(name: str, definitions: dict[str, Schema]) -> set[str]:
    """Names of the definitions that one refers to, directly or not."""
    found: set[str] = set()
    waiting = [name]
    while waiting:
        here = waiting.pop()
        if here not in found:
            found.add(here)
            waiting += _references(definitions[here])
    return found


def _references(schema: Any) -> Iterator[str]:
    if isinstance(schema, list):
        for item in schema:
            yield from _references(item)
    elif isinstance(schema, dict):
        if isinstance(reference := schema.get("$ref"), str):
            yield reference.removeprefix(REFERENCE)
        for value in schema.values():
            yield from _references(value)


def _key() -> str:
    versions = [KUBERNETES.version, *(f"{program.name} {program.version}" for program in CRDS)]
    return hashlib.sha256("\n".join([*versions, Path(__file__).read_text()]).encode()).hexdigest()[:16]


if __name__ == "__main__":
    print(schema_location())
