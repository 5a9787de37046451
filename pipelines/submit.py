"""Submits a recipe to Kubeflow Pipelines."""

import tempfile
import time
from pathlib import Path

import yaml

from pipelines.compile_pipeline import compile_pipeline
from pipelines.kubeflow import complete, connect, explained, profile_for_runs, quiet
from pipelines.recipe import Recipe
from pipelines.run_folder import RunFolder
from pipelines.submission import Access, Submission, keep, task_keys

EXPERIMENT = "tutelage"


def submit(recipe: Recipe, folder: RunFolder, access: Access, experiment: str = EXPERIMENT) -> Submission:
    """Compile and submit; what is needed to find the run again is kept in the folder.

    Raises:
        KubeflowError: Kubeflow cannot be reached or refuses.
        SettingsError: the recipe or the access is wrong.
    """
    access = complete(access)
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "distill.yaml"
        compile_pipeline(recipe, path)
        tasks = task_keys(next(yaml.safe_load_all(path.read_text())))
        profile = profile_for_runs(access)
        client = connect(access)
        with explained(access), quiet():
            there = client.create_experiment(experiment, namespace=profile)
            run = client.run_pipeline(
                there.experiment_id,
                job_name=f"{folder.name} {time.strftime('%Y-%m-%d %H:%M:%S')}",
                pipeline_package_path=str(path),
                service_account=recipe.placement.service_account or None,
            )
    submission = Submission(
        run=run.run_id,
        name=folder.name,
        title=recipe.title or recipe.name,
        access=access,
        experiment=experiment,
        store=recipe.store,
        tasks=tasks,
        jobs_namespace=recipe.placement.pods.namespace,
    )
    keep(submission, folder)
    return submission
