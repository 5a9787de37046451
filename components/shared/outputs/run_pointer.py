"""From a run to what it made: `runs/RUN.json` in the store holds its report's address, `runs/RUN/outputs/TASK.json`
the address of a task's output.

A task that runs after others, whether or not they succeeded, cannot take their outputs as inputs on Kubeflow. It finds
those that are there by this record.
"""

import os
from collections.abc import Mapping

from pydantic import BaseModel

from components.shared.errors import InputError, NotFoundError
from components.shared.outputs.library import Library
from components.shared.outputs.manifest import Manifest
from components.shared.parse_json import parse_json

RUN_VARIABLE = "TUTELAGE_RUN"
"""Id of the pipeline run that a step is part of; unset: nothing is recorded."""
OF_TASK = "task:"
"""Before the name of a task, in place of the URI of its output."""


class RunPointer(BaseModel):
    """Where the report of a run is stored."""

    run: str
    address: str
    digest: str


class TaskOutput(BaseModel):
    """The output of one task of a run."""

    task: str
    address: str


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


def record_output(library: Library, task: str, address: str) -> None:
    """Record the address of a task's output, if the task is part of a run. Raises StoreError."""
    run = os.environ.get(RUN_VARIABLE)
    if run:
        record = TaskOutput(task=task, address=address)
        library.store.write(f"{_outputs(run)}{task}.json", record.model_dump_json(indent=1).encode())


def recorded_outputs(library: Library, run: str) -> dict[str, str]:
    """The addresses of the outputs of a run's tasks so far, by task.

    Raises:
        DamagedError: a record is damaged.
        StoreError: the store cannot be read.
    """
    store = library.store
    keys = sorted(entry.key for entry in store.list(_outputs(run)))
    remedy = "run the task again"
    records = [parse_json(store.read(key), TaskOutput, f"{library.root}/{key}", remedy) for key in keys]
    return {record.task: record.address for record in records}


def found_in_run(library: Library, named: Mapping[str, str]) -> dict[str, str]:
    """URIs by name, with the outputs of this run's tasks in place of `task:NAME`.

    Those of tasks that have none, since they failed or did not run, are left out.

    Raises:
        InputError: a task is named outside a run.
        DamagedError: a record is damaged.
        StoreError: the store cannot be read.
    """
    tasks = {name: uri.removeprefix(OF_TASK) for name, uri in named.items() if uri.startswith(OF_TASK)}
    if not tasks:
        return dict(named)
    run = os.environ.get(RUN_VARIABLE)
    if not run:
        raise InputError(
            f"{next(iter(tasks))}: the output of task {next(iter(tasks.values()))!r} of a run, outside one",
            rule=f"the run's id is in {RUN_VARIABLE}, and its record in the store",
            remedy="pass the URI of the output",
        )
    outputs = recorded_outputs(library, run)
    uris = {name: library.uri(outputs[task]) for name, task in tasks.items() if task in outputs}
    return {name: uris.get(name, uri) for name, uri in named.items() if name in uris or name not in tasks}


def _outputs(run: str) -> str:
    return f"runs/{run}/outputs/"


def _key(run: str) -> str:
    return f"runs/{run}.json"
