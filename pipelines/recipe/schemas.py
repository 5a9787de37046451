"""JSON schemas of recipes, manifests, rows and the documents in outputs."""

from typing import Any

from pydantic import BaseModel

from components.registry import STEPS
from components.shared import rows
from components.shared.errors import SettingsError
from components.shared.outputs.manifest import Manifest
from pipelines.registry import DEFAULT, PIPELINES


def schema_of(what: str) -> dict[str, Any]:
    """The JSON schema of one kind of document. Raises SettingsError, with the allowed kinds, for an unknown one."""
    kinds = document_kinds()
    if what not in kinds:
        raise SettingsError(f"unknown schema {what!r}", allowed=sorted(kinds), remedy="name one of these")
    return kinds[what].model_json_schema()


def document_kinds() -> dict[str, type[BaseModel]]:
    """All documents by name. A row's name is its content: kind and version."""
    row_types = [item for item in vars(rows).values() if isinstance(item, type) and issubclass(item, rows.Row)]
    by_content = {item.content: item for item in row_types if item is not rows.Row}
    return {
        "recipe": PIPELINES[DEFAULT].recipe,
        **{f"recipe/{name}": pipeline.recipe for name, pipeline in PIPELINES.items()},
        "manifest": Manifest,
        **{name: document for step in STEPS.values() for name, document in step.documents.items()},
        **by_content,
    }
