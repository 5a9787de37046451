"""From a Kubeflow run to its report: the object `runs/RUN.json` in the store holds the report's address."""

import os

from pydantic import BaseModel

from components.shared.errors import InputError, NotFoundError
from components.shared.outputs.library import Library
from components.shared.outputs.manifest import Manifest
from components.shared.parse_json import parse_json

RUN_VARIABLE = "TUTELAGE_RUN"
"""Id of the pipeline run that a step is part of; unset: no pointer is written."""


class RunPointer(BaseModel):
    """Where the report of a run is stored."""

    run: str
    address: str
    digest: str


def point_from_run(library: Library, manifest: Manifest) -> Manifest:
    """Record the address of this run's report, if the step is part of a run. Returns the manifest.

    Raises StoreError.
    """
    run = os.environ.get(RUN_VARIABLE)
    if run:
        pointer = RunPointer(run=run, address=manifest.address, digest=manifest.digest)
        library.store.write(_key(run), pointer.model_dump_json(indent=1).encode())
    return manifest


def address_of_run(library: Library, run: str) -> str:
    """The address of a run's report.

    Raises:
        InputError: there is none (yet).
        DamagedError: the pointer is damaged.
        StoreError: the store cannot be read.
    """
    try:
        data = library.store.read(_key(run))
    except NotFoundError as error:
        raise InputError(
            f"no report of run {run} in {library.root}",
            rule="the last step of a run writes the report",
            remedy="`tutelage status` shows the progress of the run",
        ) from error
    where = f"{library.root}/{_key(run)}"
    return parse_json(data, RunPointer, where, "delete it; a later run of the recipe writes it again").address


def _key(run: str) -> str:
    return f"runs/{run}.json"
