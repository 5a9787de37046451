"""The demo's recipe compiled for the tests' cluster: the product's small placement, with this cluster's S3."""

from pathlib import Path
from typing import Any

import yaml

from pipelines.kubeflow.compile_pipeline import compile_pipeline
from pipelines.recipe.read_recipe import read_recipe
from tests.cluster.access import AUTHORITY_CONFIG_MAP, S3_SECRET, Namespace
from tests.cluster.images import image
from tests.cluster.storage import Storage

ROOT = Path(__file__).parents[2]
RECIPE = ROOT / "pipelines" / "recipes" / "demo.yaml"
PLACEMENT = ROOT / "pipelines" / "placements" / "small-cluster.yaml"
CPU = "150m"
"""What each pod of a job requests, so that several tests' jobs fit on two cores at once."""
KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")


def placement_for(storage: Storage, folder: Path, train: dict[str, Any] | None = None, endpoint: str = "") -> Path:
    """The small placement with this cluster's storage and its authority; `train` changes its training jobs."""
    placement = yaml.safe_load(PLACEMENT.read_text())
    placement["variables"] |= {
        "s3_endpoint": endpoint or storage.endpoint,
        "launcher_image": image("launcher"),
        "ray_image": image("ray"),
        "train_image": image("train"),
    }
    placement["pods"] |= {
        "secrets": {name: {"secret": S3_SECRET, "key": name} for name in KEYS},
        "certificate_authority": {"config_map": AUTHORITY_CONFIG_MAP},
    }
    placement["jobs"]["train"] |= train or {}
    for job in placement["jobs"].values():
        job["pods"]["cpu"] = CPU
    path = folder / "placement.yaml"
    path.write_text(yaml.safe_dump(placement))
    return path


def compile_demo(namespace: Namespace, placement: Path, folder: Path, changes: dict[str, Any] | None = None) -> Path:
    """Compile the recipe, with top-level parts of it changed, as `tutelage compile` does.

    In this process, since a new one would take some seconds for its imports alone.
    """
    recipe = yaml.safe_load(RECIPE.read_text()) | (changes or {})
    changed = folder / "recipe.yaml"
    changed.write_text(yaml.safe_dump(recipe))
    return compile_recipe(changed, f"{namespace.store}/demo", placement)


def compile_recipe(recipe: Path, store: str, placement: Path) -> Path:
    """Compile a recipe for the tests' cluster; the file is beside it."""
    compiled = recipe.with_name("compiled.yaml")
    read = read_recipe(recipe, {}, check_files=False, store=store, placement=placement, for_cluster=None)
    compile_pipeline(read, compiled)
    return compiled
