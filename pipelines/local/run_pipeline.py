"""Runs a recipe through kfp.local: `python -m pipelines.local.run_pipeline RUN_FOLDER`.

It is a process of its own: the command line shows the progress meanwhile, and can end it with everything it started.
"""

import json
import os
import sys
import uuid
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from components.launch.here.follow_parent import die_with_parent
from components.shared.outputs.run_pointer import RUN_VARIABLE
from pipelines.local.fork_steps import forked_steps
from pipelines.local.task_order import independent_tasks_go_on, tasks_in_order
from pipelines.pipeline import Pipeline, Recipe
from pipelines.registry import pipeline_of, recipe_from, task_names


def main() -> int:
    """Run the recipe in the folder named on the command line; 0 when every task succeeded."""
    from kfp import local

    die_with_parent()
    folder = Path(sys.argv[1])
    # kfp.local warns that it ignores images and settings of a cluster.
    warnings.filterwarnings("ignore", module=r"kfp\.local.*")
    recipe = recipe_from(json.loads((folder / "recipe.json").read_text()))
    pipeline = pipeline_of(recipe)
    local.init(local.SubprocessRunner(use_venv=False), pipeline_root=str(folder / "kfp"), raise_on_error=True)
    try:
        with tasks_in_order(task_names(recipe)), _outliving_failures(pipeline, recipe), forked_steps():
            pipeline.build(recipe, None)()
    except RuntimeError as error:
        # The failed task has reported the reason in its events; this line is for the log.
        print(f"pipeline ended: {error}", file=sys.stderr)
        return 1
    return 0


@contextmanager
def _outliving_failures(pipeline: Pipeline, recipe: Recipe) -> Iterator[None]:
    """For a pipeline that goes on after failures: an id for the record of the run's outputs, and tasks that go on."""
    if not pipeline.outlives_failures:
        yield
        return
    os.environ[RUN_VARIABLE] = f"{recipe.name}-{uuid.uuid4().hex[:8]}"
    with independent_tasks_go_on():
        yield


if __name__ == "__main__":
    sys.exit(main())
