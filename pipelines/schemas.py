"""JSON schemas of everything that is written down: recipe, report, manifest, rows."""

from typing import Any

from pydantic import BaseModel

from components.publish.report_schema import Report
from components.shared import rows
from components.shared.errors import SettingsError
from components.shared.manifest import Manifest
from pipelines.recipe import Recipe


def schema_of(what: str) -> dict[str, Any]:
    """The JSON schema of one kind of document. Raises SettingsError with the kinds there are."""
    kinds = document_kinds()
    if what not in kinds:
        raise SettingsError(f"no schema {what!r}", allowed=sorted(kinds), remedy="name one of these")
    return kinds[what].model_json_schema()


def document_kinds() -> dict[str, type[BaseModel]]:
    """All documents by name; rows by the name and version of their content."""
    row_types = [item for item in vars(rows).values() if isinstance(item, type) and issubclass(item, rows.Row)]
    by_content = {item.content: item for item in row_types if item is not rows.Row}
    return {
        "recipe": Recipe,
        "report": Report,
        "manifest": Manifest,
        "comparison/1": rows.ComparisonTable,
        **by_content,
    }
