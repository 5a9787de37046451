"""Runs a recipe through kfp.local: `python -m pipelines.local.run_pipeline RUN_FOLDER`.

It is a process of its own: the command line shows the progress meanwhile, and can end it with everything it started.
"""

import json
import os
import sys
import uuid
import warnings
from pathlib import Path

from components.launch.here.follow_parent import die_with_parent
from components.shared.outputs.run_pointer import RUN_VARIABLE
from pipelines.local.fork_steps import forked_steps
from pipelines.local.task_order import tasks_in_order
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
    if pipeline.records_outputs:
        os.environ[RUN_VARIABLE] = f"{recipe.name}-{uuid.uuid4().hex[:8]}"
    local.init(local.SubprocessRunner(use_venv=False), pipeline_root=str(folder / "kfp"), raise_on_error=True)
    try:
        with tasks_in_order(task_names(recipe)), forked_steps():
            pipeline.build(recipe, None)()
    except RuntimeError as error:
        # The failed task has reported the reason in its events; this line is for the log.
        print(f"pipeline ended: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
