"""Tries a namespace as a run would use it: rights, the store, and a small job of each kind. `helm test` runs it.

    python -m pipelines.try_cluster --placement placement.yaml [--store s3://BUCKET/PREFIX]

Jobs run by the product's own launch code, with the placement's images, secrets, user, authority and queue, but with
little memory and no GPU. What the cluster does not serve is said and left out.
"""

import argparse
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from components.launch.cluster import Cluster
from components.launch.connect import connect
from components.launch.job import Job, Launch, run_job
from components.launch.kind import resource_name
from components.launch.refusals import Unreachable
from components.shared.errors import SettingsError, TutelageError
from components.shared.log import say
from components.shared.step import explain_validation
from components.shared.store import ATTEMPTS_VARIABLE
from components.shared.try_store import try_store
from pipelines.cluster_rights import examine_rights
from pipelines.cluster_served import SERVED, examine_served, served_versions
from pipelines.doctor import Finding, print_findings
from pipelines.document import Document
from pipelines.move_jobs import launch_of
from pipelines.namespace import choose_namespace
from pipelines.placement import Placement

MODULE = "pipelines.try_job"
RUN_SECONDS = 300.0
NODES = {"synthesize": 1, "train": 2}
"""A worker beside Ray's head, and two nodes of torchrun: so many that pods have to reach each other."""
PROGRAMS: dict[str, Literal["ray", "torchrun"]] = {"synthesize": "ray", "train": "torchrun"}
SMALL = {"cpu": "300m", "memory": "2Gi", "gpus": 0, "scratch": "1Gi", "shared_memory": "256Mi"}


def try_cluster(placement: Placement, store: str, start_seconds: float) -> Iterator[Finding]:
    """A finding for each thing that was tried.

    Raises:
        JobError: there is no cluster to speak to.
    """
    client, namespace = connect(), choose_namespace()
    yield Finding("namespace", True, namespace.with_jobs(placement.pods.namespace))
    cluster = Cluster(placement.pods.namespace or namespace.name)
    yield from examine_served(client, None)
    served = {name for name, resource in SERVED.items() if resource.version in served_versions(client, resource)}
    yield from _rights(client, cluster.namespace, served)
    yield _store(store)
    for step in NODES:
        yield _job(cluster, placement, step, served, (store, start_seconds))


def read_placement(path: Path) -> Placement:
    """The placement of a file. Raises SettingsError."""
    document = Document.read(path, "placement")
    try:
        return Placement.model_validate(document.filled_in({}))
    except ValidationError as error:
        raise SettingsError(f"{path}: {explain_validation(error)}") from None


def small_job(launch: Launch, step: str, store: str, start_seconds: float) -> Job:
    """A job like a step's, but small, and of a name of its own."""
    few = {**launch.pods.environment, ATTEMPTS_VARIABLE: "3"}  # a person waits
    changed = {
        "pods": launch.pods.model_copy(update={**SMALL, "environment": few}),
        "nodes": NODES[step],
        "processes_per_node": 1,
        "cpus_per_process": 1,
        "restarts": 0,
        "timeout_seconds": RUN_SECONDS,
        "start_seconds": start_seconds,
        "queue_seconds": start_seconds,
    }
    return Job(
        name=f"try-{step}-{uuid.uuid4().hex[:8]}",
        program=PROGRAMS[step],
        module=MODULE,
        arguments=(store,) if store else (),
        launch=launch.model_copy(update=changed),
    )


def _rights(client: Any, namespace: str, served: set[str]) -> Iterator[Finding]:
    """Rights to what is served; a Role need not have the others."""
    unserved = {f"{kind.plural}.{kind.group}" for name, kind in SERVED.items() if name not in served}
    for finding in examine_rights(client, namespace, None, None):
        if finding.what.removeprefix("right to ") not in unserved:
            yield finding


def _store(store: str) -> Finding:
    if not store:
        return Finding("store", True, "left out: none is named")
    try:
        return Finding("store", True, f"{store} ({try_store(store)})")
    except TutelageError as error:
        return Finding("store", False, error.problem, error.remedy)


def _job(cluster: Cluster, placement: Placement, step: str, served: set[str], trying: tuple[str, float]) -> Finding:
    launch = launch_of(placement, step, step, Launch())
    launcher = launch.launcher
    if launcher == "TrainJob" and launcher not in served and "PyTorchJob" in served:
        launcher = "PyTorchJob"  # as the launcher itself would do
    what = f"job of {step}"
    if not launch.on_cluster:
        return Finding(what, True, "left out: the placement runs it in the step's own pod")
    if launcher not in served:
        return Finding(what, True, f"left out: {launcher} is not served")
    here = launch.pods.model_copy(update={"namespace": cluster.namespace})
    job = small_job(launch.model_copy(update={"launcher": launcher, "pods": here}), step, *trying)
    try:
        run_job(job)
    except TutelageError as error:
        return Finding(what, False, f"{launcher}: {error.problem}", error.remedy)
    finally:
        _remove(cluster, launcher, job)
    return Finding(
        what, True, f"a {launcher} ran to its end, its pods met" + (" and reached the store" * bool(trying[0]))
    )


def _remove(cluster: Cluster, launcher: str, job: Job) -> None:
    try:
        cluster.delete(SERVED[launcher], resource_name(job))
    except (Unreachable, TutelageError) as error:
        say("try", f"{launcher} {resource_name(job)} is left, delete it: {error}")


def main(arguments: list[str] | None = None) -> int:
    """Try the cluster that this pod, or KUBECONFIG, belongs to."""
    parser = argparse.ArgumentParser(prog="python -m pipelines.try_cluster", description=__doc__)
    parser.add_argument("--placement", type=Path, required=True, help="the placement that runs will have, a YAML file")
    parser.add_argument("--store", default="", help="s3://BUCKET/PREFIX to write to and read from; none: left out")
    parser.add_argument("--start-seconds", type=float, default=900.0, help="longest time that a job may take to start")
    chosen = parser.parse_args(arguments)
    try:
        placement = read_placement(chosen.placement)
        return 0 if print_findings(try_cluster(placement, chosen.store, chosen.start_seconds)) else 1
    except TutelageError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main())
