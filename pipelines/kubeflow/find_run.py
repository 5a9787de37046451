"""Finds the run that a command is about: by a recipe's file, a name, Kubeflow's id, or the latest one."""

import os
from pathlib import Path
from typing import Any

from components.shared.errors import NotFoundError, SettingsError
from pipelines.kubeflow.connection import NAMESPACE_VARIABLE, KubeflowError, complete, connect, explained
from pipelines.kubeflow.submission import Access, Submission, jobs_namespace_of, latest_of, recall, task_keys
from pipelines.local.run_folder import RunFolder
from pipelines.recipe.read_recipe import read_recipe

VARIABLES = {
    "host": "TUTELAGE_KFP_HOST",
    "namespace": NAMESPACE_VARIABLE,
    "token_file": "TUTELAGE_KFP_TOKEN_FILE",
    "cookies_file": "TUTELAGE_KFP_COOKIES_FILE",
    "ca_bundle": "TUTELAGE_KFP_CA_BUNDLE",
}
"""Environment variables for the connection to Kubeflow Pipelines; `tutelage submit` has an option for each."""


def find_folder(name: str, work: Path) -> RunFolder:
    """The folder of the run of a recipe, of the run with a name, or of the latest run. Raises SettingsError."""
    if name.endswith((".yaml", ".yml")):
        return RunFolder(read_recipe(Path(name), check_files=False).name, work)
    latest = name or latest_of(work)
    if not latest:
        raise SettingsError(
            f"no runs in {work / 'runs'}", remedy="tutelage run RECIPE starts one, tutelage submit RECIPE submits one"
        )
    return RunFolder(latest, work)


def find_submission(name: str, run: str, work: Path) -> Submission | None:
    """The submitted run that is meant; None when it ran on this machine.

    Args:
        name: as for `find_folder`.
        run: id of a run in Kubeflow, submitted from any machine; takes precedence over the name.
        work: folder for the state of runs.

    Raises:
        KubeflowError: the run is not known here, and Kubeflow cannot be asked.
    """
    if not run:
        found = recall(find_folder(name, work))
        return _with_login(found) if found else None
    for path in sorted((work / "runs").glob("*/submitted.json")):
        known = Submission.model_validate_json(path.read_text())
        if known.run == run:
            return _with_login(known)
    return _asked_for(run, complete(_given(Access(host=""))))


def require_submission(name: str, run: str, work: Path) -> Submission:
    """The submitted run that is meant. Raises NotFoundError for a run on this machine."""
    found = find_submission(name, run, work)
    if found is None:
        raise NotFoundError(
            f"run {find_folder(name, work).name!r} was not submitted from here",
            remedy="--run RUN_ID names any run of Kubeflow; Ctrl-C ends a run on this machine",
        )
    return found


def _with_login(submission: Submission) -> Submission:
    """The run with the login that the environment names now: it may have been renewed."""
    return submission.model_copy(update={"access": _given(submission.access)})


def _given(access: Access) -> Access:
    given = {field: os.environ[name] for field, name in VARIABLES.items() if os.environ.get(name)}
    given.pop("namespace", None)  # a run stays in its namespace; `choose_namespace` reads the variable
    if access.host and given.get("host", access.host).rstrip("/") != access.host:
        # The environment is for another Kubeflow.
        return access
    return complete(access.model_copy(update=given)) if given else access


def _asked_for(run: str, access: Access) -> Submission:
    """A run that was submitted elsewhere, as Kubeflow describes it."""
    client = connect(access)
    with explained(access):
        found = client.get_run(run)
        experiment = client.get_experiment(experiment_id=found.experiment_id) if found.experiment_id else None
    access = access.model_copy(update={"namespace": (experiment and experiment.namespace) or access.namespace})
    pipeline = _pipeline_of(client, found, access)
    try:
        given = (found.runtime_config.parameters if found.runtime_config else None) or {}
        store = given.get("root") or pipeline["root"]["inputDefinitions"]["parameters"]["root"]["defaultValue"]
        tasks = task_keys(pipeline)
    except KeyError as error:
        raise NotFoundError(
            f"run {run} is not a run of Tutelage: its pipeline lacks {error}", remedy="name another run"
        ) from None
    return Submission(
        run=run,
        name=run,
        title=found.display_name or run,
        access=access,
        store=store,
        tasks=tasks,
        jobs_namespace=jobs_namespace_of(pipeline),
    )


def _pipeline_of(client: Any, run: Any, access: Access) -> dict[str, Any]:
    """The compiled pipeline of a run: its own, or that of the version that the UI or a schedule started it from.

    Raises:
        NotFoundError: the pipeline version cannot be read.
        KubeflowError: Kubeflow does not respond at the moment.
    """
    pipeline: dict[str, Any] = run.pipeline_spec or _spec_of_version(client, run, access)
    # A pipeline with a Kubernetes platform spec consists of two documents.
    return pipeline.get("pipeline_spec", pipeline)


def _spec_of_version(client: Any, run: Any, access: Access) -> dict[str, Any]:
    named = run.pipeline_version_reference
    if named is None or not (named.pipeline_id and named.pipeline_version_id):
        raise NotFoundError(
            f"run {run.run_id} lacks both a pipeline spec and a pipeline version", remedy="name another run"
        )
    try:
        with explained(access):
            version = client.get_pipeline_version(named.pipeline_id, named.pipeline_version_id)
    except KubeflowError as error:
        if error.temporary:
            raise
        raise NotFoundError(
            f"run {run.run_id} was started from version {named.pipeline_version_id} of pipeline {named.pipeline_id}, "
            f"which cannot be read: {error.problem}",
            rule="a run's tasks and its store are read from its pipeline",
            remedy="ask somebody who may read the pipeline, or upload it again and start another run",
        ) from error
    spec: dict[str, Any] = version.pipeline_spec or {}
    return spec
