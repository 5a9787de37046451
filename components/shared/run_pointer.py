"""From a run of Kubeflow to its report: a small object in the store, `runs/RUN.json`, that names the address."""

import json
import os

from components.shared.errors import InputError, NotFoundError
from components.shared.manifest import Manifest
from components.shared.store import open_store

RUN_VARIABLE = "TUTELAGE_RUN"
"""Holds the id of the pipeline run that a step is part of; without it nothing is written."""


def point_from_run(root: str, manifest: Manifest) -> Manifest:
    """Write where this run's report lies, when the step is part of a run; give the manifest back. Raises StoreError."""
    run = os.environ.get(RUN_VARIABLE)
    if run:
        content = {"run": run, "address": manifest.address, "digest": manifest.digest}
        open_store(root).write(_key(run), json.dumps(content, indent=1).encode())
    return manifest


def address_of_run(root: str, run: str) -> str:
    """The address of a run's report. Raises InputError when there is none (yet), StoreError."""
    try:
        return str(json.loads(open_store(root).read(_key(run)))["address"])
    except NotFoundError as error:
        raise InputError(
            f"run {run} has no report in {root}",
            rule="the step publish writes it",
            remedy="tutelage status shows how far the run is",
        ) from error


def _key(run: str) -> str:
    return f"runs/{run}.json"
