"""Submits a recipe to Kubeflow Pipelines."""

import tempfile
import time
from pathlib import Path

import yaml

from pipelines.kubeflow.compile_pipeline import compile_pipeline
from pipelines.kubeflow.connection import complete, connect, explained, profile_for_runs, quiet
from pipelines.kubeflow.submission import Access, Submission, keep, task_keys
from pipelines.local.run_folder import RunFolder
from pipelines.pipeline import Recipe

EXPERIMENT = "tutelage"


def submit(
    recipe: Recipe, folder: RunFolder, access: Access, experiment: str = EXPERIMENT, *, guessed: bool = False
) -> Submission:
    """Compile and submit; what is needed to find the run again is kept in the folder.

    Args:
        recipe: what runs.
        folder: the run's, on this machine.
        access: how Kubeflow is reached, and the namespace of the run.
        experiment: the run's, in Kubeflow.
        guessed: the namespace is the kubeconfig's. A Kubeflow with one user runs everything in its own, whatever that
            says, so it is not remembered as the run's.

    Raises:
        KubeflowError: Kubeflow cannot be reached or refuses.
        SettingsError: the recipe or the access is wrong.
    """
    access = complete(access)
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / f"{recipe.pipeline}.yaml"
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
    if guessed and profile is None:
        access = access.model_copy(update={"namespace": ""})
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
