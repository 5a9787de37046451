"""Runs a compiled recipe through kfp.local: `python -m pipelines.run_pipeline RUN_FOLDER`.

It is a process of its own, so that whoever watches (the command line) can draw progress, and can end it whole.
"""

import os
import sys
import warnings
from pathlib import Path

from components.launch.follow_parent import die_with_parent
from components.shared.step import RUNNER_VARIABLE
from pipelines.recipe import Recipe


def main() -> int:
    """Run the recipe in the folder named on the command line; 0 when every task succeeded."""
    from kfp import local

    from pipelines.distill import distill

    die_with_parent()
    folder = Path(sys.argv[1])
    os.environ[RUNNER_VARIABLE] = str(os.getpid())
    # The local runner warns that images and cluster settings mean nothing to it; that is what it is for.
    warnings.filterwarnings("ignore", module=r"kfp\.local.*")
    recipe = Recipe.model_validate_json((folder / "recipe.json").read_text())
    local.init(local.SubprocessRunner(use_venv=False), pipeline_root=str(folder / "kfp"), raise_on_error=True)
    try:
        distill(recipe)()
    except RuntimeError as error:
        # The task that failed has told why in its events; this line is for the log.
        print(f"pipeline ended: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
