"""Compiles a recipe to a Kubeflow pipeline, deterministically."""

from pathlib import Path

from components.shared.errors import SettingsError
from components.shared.patch_libraries import quick_task_settings
from pipelines.pipeline import Recipe
from pipelines.recipe.move_jobs import move_jobs
from pipelines.registry import pipeline_of


def compile_pipeline(recipe: Recipe, path: Path) -> None:
    """Write the pipeline's YAML, with the launches of the placement.

    Raises:
        SettingsError: the path is not a .yaml file in an existing folder, or a local file that settings name cannot be
            read.
    """
    from kfp import compiler

    if path.suffix not in {".yaml", ".yml"} or not path.absolute().parent.is_dir():
        raise SettingsError(
            f"cannot compile to {str(path)!r}",
            rule="a .yaml file in an existing folder",
            remedy="give another --output",
        )
    with quick_task_settings():
        built = pipeline_of(recipe).build(move_jobs(recipe), recipe.placement)
    compiler.Compiler().compile(built, str(path))
