"""Compiles a recipe to a Kubeflow pipeline, byte for byte the same every time."""

from pathlib import Path

from components.shared.errors import SettingsError
from pipelines.move_jobs import move_jobs
from pipelines.recipe import Recipe


def compile_pipeline(recipe: Recipe, path: Path) -> None:
    """Write the pipeline's YAML, its jobs where the placement wants them.

    Raises:
        SettingsError: the file's name or folder is wrong, or a DeepSpeed configuration cannot be read.
    """
    from kfp import compiler

    from pipelines.distill import distill

    if path.suffix not in {".yaml", ".yml"} or not path.absolute().parent.is_dir():
        raise SettingsError(
            f"cannot compile to {str(path)!r}",
            rule="a .yaml file in a folder that exists",
            remedy="give another --output",
        )
    compiler.Compiler().compile(distill(move_jobs(recipe), recipe.placement), str(path))
