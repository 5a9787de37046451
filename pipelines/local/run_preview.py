"""Does the tasks of a preview: `python -m pipelines.local.run_preview FOLDER ROWS`.

It is a process of its own, as that of a run. The tasks run in it one after the other, so that libraries and models are
loaded once.
"""

import json
import sys
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from components.launch.here.follow_parent import die_with_parent
from components.shared.outputs.library import Library
from components.shared.process.perform import perform, reported
from components.shared.store.uri import join
from pipelines.pipeline import Recipe
from pipelines.preview.document import PreviewDocument
from pipelines.preview.preview import FOLDER
from pipelines.registry import preview_of, recipe_from

DOCUMENT = "preview.json"


def preview_here(recipe: Recipe, rows: int) -> PreviewDocument:
    """Do all tasks of a preview, and gather what it shows. Raises SystemExit when a task fails, which is reported."""
    preview = preview_of(recipe, rows)
    library = Library(join(recipe.store, FOLDER))
    began = datetime.now(UTC).replace(microsecond=0)
    made: dict[str, Any] = {}
    for task in preview.tasks:
        made[task.name] = perform(task.name, partial(task.work, library, made))
    reused = frozenset(name for name, result in made.items() if _created(library, result.address) < began)
    with reported(preview.names[-1]):
        return preview.gather(library, made, reused)


def _created(library: Library, address: str) -> datetime:
    return datetime.fromisoformat(library.load(address).created)


def main() -> int:
    """Preview the recipe in the folder named on the command line; writes `preview.json` there."""
    die_with_parent()
    folder, rows = Path(sys.argv[1]), int(sys.argv[2])
    document = preview_here(recipe_from(json.loads((folder / "recipe.json").read_text())), rows)
    (folder / DOCUMENT).write_text(document.model_dump_json(indent=1), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
