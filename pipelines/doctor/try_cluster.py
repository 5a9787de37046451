"""Tests a namespace the way a run uses it: permissions, the store, and a small job of each kind. Run by `helm test`.

    python -m pipelines.doctor.try_cluster --placement placement.yaml [--store s3://BUCKET/PREFIX]

The jobs are launched like those of a run, with the placement's images, secrets, user, certificate authority and queue,
but with little memory and without a GPU. Kinds that the cluster does not serve are reported and skipped.
"""

import argparse
import sys
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from components.launch.accelerators import CPU
from components.launch.api.cluster import Cluster
from components.launch.api.connect import connect
from components.launch.api.refusals import Unreachable
from components.launch.groups import GroupPods
from components.launch.job import Job, Launch, run_job
from components.launch.kinds.kind import resource_name
from components.launch.registry import LAUNCHERS, custom_resources
from components.registry import STEPS
from components.shared.errors import SettingsError, TutelageError
from components.shared.finding import Finding
from components.shared.log import say
from components.shared.process.perform import explain_validation
from components.shared.step import Step
from components.shared.store.attempts import ATTEMPTS_VARIABLE
from components.shared.store.try_store import try_store
from pipelines.doctor.machine import print_findings
from pipelines.doctor.rights import examine_rights
from pipelines.doctor.served import examine_served, served_versions
from pipelines.kubeflow.namespace import choose_namespace
from pipelines.placement.move_tasks import launch_of
from pipelines.placement.placement import Placement
from pipelines.placement.task import Task
from pipelines.recipe.document import Document

MODULE = "pipelines.doctor.try_job"
RUN_SECONDS = 300.0
NODES = {"ray": 1, "torchrun": 2}
"""A worker besides Ray's head, and two nodes of torchrun: pods have to reach each other."""
ONE_OF_GROUP = {"nodes": 1, "least_nodes": None, "processes_per_node": 1, "accelerator": CPU, "pods": GroupPods()}
"""A group's part of a test: a pod with one process and without a GPU."""
SMALL = {"cpu": "300m", "memory": "2Gi", "gpus": 0, "scratch": "1Gi", "shared_memory": "256Mi"}


def try_cluster(placement: Placement, store: str, start_seconds: float) -> Iterator[Finding]:
    """A finding for each test.

    Raises:
        JobError: the cluster cannot be reached.
    """
    client, namespace = connect(), choose_namespace()
    yield Finding("namespace", True, namespace.with_jobs(placement.pods.namespace))
    cluster = Cluster(placement.pods.namespace or namespace.name)
    yield from examine_served(client, None)
    served = {
        name for name, resource in custom_resources().items() if resource.version in served_versions(client, resource)
    }
    yield from _rights(client, cluster.namespace, served)
    yield _store(store)
    yield from _jobs(cluster, placement, served, (store, start_seconds))


def read_placement(path: Path) -> Placement:
    """The placement of a file. Raises SettingsError."""
    document = Document.read(path, "placement")
    try:
        return Placement.model_validate(document.filled_in({}))
    except ValidationError as error:
        raise SettingsError(f"{path}: {explain_validation(error)}") from None


def small_job(launch: Launch, step: Step, store: str, start_seconds: float) -> Job:
    """A small job with the settings of a step's job, and a unique name."""
    few = {**launch.pods.environment, ATTEMPTS_VARIABLE: "3"}  # interactive: fail soon
    changed = {
        "pods": launch.pods.model_copy(update={**SMALL, "environment": few}),
        **_few_nodes(launch, step),
        "processes_per_node": 1,
        "cpus_per_process": 1,
        "restarts": 0,
        "timeout_seconds": RUN_SECONDS,
        "start_seconds": start_seconds,
        "queue_seconds": start_seconds,
    }
    assert step.program
    return Job(
        name=f"try-{step.name}-{uuid.uuid4().hex[:8]}",
        program=step.program,
        module=MODULE,
        arguments=(store,) if store else (),
        launch=launch.model_copy(update=changed),
    )


def _few_nodes(launch: Launch, step: Step) -> dict[str, Any]:
    """What replaces a launch's nodes: a pod on a node of each of its groups, or few equal ones."""
    assert step.program
    groups = tuple(group.model_copy(update=ONE_OF_GROUP) for group in launch.groups)
    return {"groups": groups} if groups else {"nodes": NODES[step.program], "least_nodes": None}


def _rights(client: Any, namespace: str, served: set[str]) -> Iterator[Finding]:
    """Permissions for the served kinds; a Role need not have those for others."""
    unserved = {f"{kind.plural}.{kind.group}" for name, kind in custom_resources().items() if name not in served}
    for finding in examine_rights(client, namespace, None, None):
        if finding.what.removeprefix("right to ") not in unserved:
            yield finding


def _store(store: str) -> Finding:
    if not store:
        return Finding("store", True, "skipped: none was given")
    try:
        return Finding("store", True, f"{store} ({try_store(store)})")
    except TutelageError as error:
        return Finding("store", False, error.problem, error.remedy)


def _jobs(cluster: Cluster, placement: Placement, served: set[str], trying: tuple[str, float]) -> Iterator[Finding]:
    """A finding for each step with a job; of jobs with the same settings one is run."""
    ran: dict[str, tuple[str, Finding]] = {}
    for step in (step for step in STEPS.values() if step.program):
        launch = launch_of(placement, Task(step.name, step))
        settings = f"{step.program} {launch.model_dump_json()}"
        if launch.on_cluster and settings in ran:
            first, found = ran[settings]
            yield replace(found, what=f"job of {step.name}", text=f"like that of {first}: {found.text}")
            continue
        found = _job(cluster, launch, step, served, trying)
        ran[settings] = step.name, found
        yield found


def _job(cluster: Cluster, launch: Launch, step: Step, served: set[str], trying: tuple[str, float]) -> Finding:
    launcher = launch.launcher
    fallback = LAUNCHERS[launcher].fallback
    if launcher not in served and fallback in served:
        launcher = fallback  # as the launcher itself would do
    what = f"job of {step.name}"
    if not launch.on_cluster:
        return Finding(what, True, "skipped: the placement runs it in the step's own pod")
    if launcher not in served:
        return Finding(what, True, f"skipped: {launcher} is not served")
    here = launch.pods.model_copy(update={"namespace": cluster.namespace})
    job = small_job(launch.model_copy(update={"launcher": launcher, "pods": here}), step, *trying)
    try:
        run_job(job)
    except TutelageError as error:
        return Finding(what, False, f"{launcher}: {error.problem}", error.remedy)
    finally:
        _remove(cluster, launcher, job)
    return Finding(
        what, True, f"a {launcher} succeeded: its pods reached each other" + (" and the store" * bool(trying[0]))
    )


def _remove(cluster: Cluster, launcher: str, job: Job) -> None:
    try:
        cluster.delete(custom_resources()[launcher], resource_name(job))
    except (Unreachable, TutelageError) as error:
        say("try", f"{launcher} {resource_name(job)} was not deleted, delete it: {error}")


def main(arguments: list[str] | None = None) -> int:
    """Test the cluster of this pod, or of KUBECONFIG."""
    parser = argparse.ArgumentParser(prog="python -m pipelines.doctor.try_cluster", description=__doc__)
    parser.add_argument("--placement", type=Path, required=True, help="YAML file of the placement of runs")
    parser.add_argument("--store", default="", help="s3://BUCKET/PREFIX to write to and read from; default: not tested")
    parser.add_argument("--start-seconds", type=float, default=900.0, help="time limit for the start of a job")
    chosen = parser.parse_args(arguments)
    try:
        placement = read_placement(chosen.placement)
        return 0 if print_findings(try_cluster(placement, chosen.store, chosen.start_seconds)) else 1
    except TutelageError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main())
