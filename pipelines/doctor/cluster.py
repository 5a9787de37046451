"""Checks what a recipe needs from a Kubernetes cluster and from Kubeflow, and suggests remedies.

What the login may not read is reported as not checked, and is not a fault: the steps' account may have the right.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from components.launch.api.cluster import Cluster
from components.launch.api.connect import connect
from components.launch.api.refusals import Absent, Conflict, Forbidden, Unreachable
from components.launch.pods import Pods
from components.shared.errors import JobError, SettingsError, TutelageError
from components.shared.finding import Finding
from components.shared.text.counted import counted
from pipelines.doctor.account import account_of_steps
from pipelines.doctor.objects import examine_objects, on_cluster
from pipelines.doctor.pod import PodResult, run_pod
from pipelines.doctor.retries import examine_retries
from pipelines.doctor.rights import examine_rights
from pipelines.doctor.served import examine_served
from pipelines.kubeflow.connection import complete, profile_for_runs
from pipelines.kubeflow.find_run import VARIABLES
from pipelines.kubeflow.namespace import Namespace, choose_namespace
from pipelines.kubeflow.submission import Access
from pipelines.pipeline import Recipe
from pipelines.placement.check_images import images_of_jobs, images_of_steps
from pipelines.placement.placement import Placement
from pipelines.recipe.move_jobs import move_jobs
from pipelines.registry import tasks_of

TRY_STORE = "components.shared.store.try_store"


def examine_cluster(recipe: Recipe | None, namespace: Namespace | None = None) -> Iterator[Finding]:
    """Check the cluster that KUBECONFIG (or this pod) names, and what a recipe and its placement need there.

    Args:
        recipe: None: what every recipe needs.
        namespace: of the run and its steps; None: the default.
    """
    placement = recipe.placement if recipe else Placement()
    namespace = namespace or choose_namespace()
    yield Finding("namespace", True, namespace.with_jobs(placement.pods.namespace))
    try:
        client = connect()
    except JobError as error:
        yield Finding("cluster", False, error.problem, error.remedy)
        return
    reached = _version(client)
    yield reached
    if reached.good:
        moved = move_jobs(recipe) if recipe else None
        steps = Cluster(namespace.name)
        jobs = steps.beside(placement.pods.namespace) if placement.pods.namespace else steps
        yield from examine_served(client, moved)
        yield from _rights(client, steps, jobs, placement, moved)
        yield examine_retries(steps)
        yield from examine_objects(steps, jobs, placement, moved)
        yield from _gpus(client, moved)
        if recipe:
            yield from _pods(steps, jobs, recipe.store, images_of(placement, moved))
    yield _kubeflow(namespace)


def _rights(
    client: Any, steps: Cluster, jobs: Cluster, placement: Placement, moved: Recipe | None
) -> Iterator[Finding]:
    from kubernetes.client import ApiException

    try:
        account = account_of_steps(client, steps, placement.service_account)
    except ApiException as error:
        yield Finding("rights of the steps", False, f"{error.status} {error.reason}", "check the login")
        return
    yield from examine_rights(client, jobs.namespace, account, moved)


@dataclass(frozen=True)
class ImageUse:
    """How an image is used.

    Attributes:
        pods: the settings of its pods.
        by_job: they are a job's, which may be in a namespace of their own.
        packages: what backends need in it beyond Tutelage.
    """

    pods: Pods
    by_job: bool = False
    packages: frozenset[str] = frozenset()


def images_of(placement: Placement, moved: Recipe | None) -> dict[str, ImageUse]:
    """Every image that a run uses, with the settings of its pods: those of a job, else those of the steps."""
    common = {name: getattr(placement.pods, name) for name in placement.pods.model_fields_set}
    tasks = tasks_of(moved) if moved else []
    steps, jobs = images_of_steps(placement, tasks), images_of_jobs(tasks)
    found = {
        image: ImageUse(Pods(**{**common, "image": image}), packages=frozenset(packages))
        for image, packages in steps.items()
    }
    for pods in job_pods_of(moved):
        packages = jobs.get(pods.image, set()) | steps.get(pods.image, set())
        found[pods.image] = ImageUse(pods, by_job=True, packages=frozenset(packages))
    return found


def job_pods_of(moved: Recipe | None) -> list[Pods]:
    """The pods of every job that runs on the cluster."""
    return [launch.pods for launch in on_cluster(moved)] if moved else []


def _version(client: Any) -> Finding:
    from kubernetes.client import ApiException, VersionApi
    from urllib3.exceptions import HTTPError

    host = client.configuration.host
    try:
        found = VersionApi(client).get_code()
    except ApiException as error:
        return Finding(
            "cluster",
            False,
            f"{host} responds with {error.status} {error.reason}",
            "check the kubeconfig's login: KUBECONFIG",
        )
    except (HTTPError, OSError) as error:
        return Finding("cluster", False, f"{host} cannot be reached: {error}", "check KUBECONFIG and the network")
    return Finding("cluster", True, f"{found.git_version} at {host}")


def _pods(steps: Cluster, jobs: Cluster, store: str, images: dict[str, ImageUse]) -> Iterator[Finding]:
    """Run each image in a pod, which also tries the store with the run's environment and secrets."""
    root = store if "://" in store else ""
    for image, use in images.items():
        try:
            packages = [f"--package={name}" for name in sorted(use.packages)]
            result = run_pod(jobs if use.by_job else steps, use.pods, TRY_STORE, *packages, *([root] if root else []))
        except Forbidden as error:
            unseen = " may not create " in error.problem
            text = f"cannot be tried: {error.problem}" if unseen else error.problem
            yield Finding(f"image {image}", unseen, text, error.remedy)
            continue
        except (JobError, SettingsError) as error:
            yield Finding(f"image {image}", False, error.problem, error.remedy)
            continue
        except (Unreachable, Absent, Conflict) as error:
            yield Finding(f"image {image}", False, str(error), "try again")
            continue
        yield from _judged(image, root, use, result)


def _judged(image: str, root: str, use: ImageUse, result: PodResult) -> Iterator[Finding]:
    if not result.started:
        yield Finding(f"image {image}", False, result.text, result.remedy)
        return
    ours = result.good or not ("No module named" in result.text or "exec" in result.text)
    having = " with ".join(("Tutelage", *sorted(use.packages)))
    yield Finding(
        f"image {image}",
        ours,
        ("can be pulled and starts" + "".join(f", has {name}" for name in sorted(use.packages)))
        if ours
        else result.text,
        f"use an image in which {having} is installed, such as those built from the folder images",
    )
    if root and ours:
        yield Finding(
            f"store from a pod of {image}",
            result.good,
            f"{root} ({result.text})" if result.good else result.text,
            "check AWS_ENDPOINT_URL in placement.pods.environment, the keys' Secret, the bucket, and "
            "certificate_authority if the store uses a private certificate authority",
        )


def _gpus(client: Any, moved: Recipe | None) -> Iterator[Finding]:
    """Whether nodes have as many GPUs as the largest pod requests, for each kind of GPU."""
    wanted: dict[str, int] = {}
    for pods in job_pods_of(moved):
        wanted[pods.gpu_resource] = max(wanted.get(pods.gpu_resource, 0), pods.gpus)
    if moved:
        for task in moved.placement.tasks.values():
            wanted[task.accelerator] = max(wanted.get(task.accelerator, 0), task.accelerators)
    for resource, count in sorted(wanted.items()):
        if count:
            yield _gpus_of(client, resource, count)


def _gpus_of(client: Any, resource: str, count: int) -> Finding:
    from kubernetes.client import ApiException, CoreV1Api

    what = f"GPUs ({resource})"
    try:
        nodes = CoreV1Api(client).list_node().items
    except ApiException as error:
        if error.status == 403:
            return Finding(what, True, f"{count} in one pod requested; this login may not list nodes")
        return Finding(what, False, f"nodes: {error.status} {error.reason}", "try again")
    having = {node.metadata.name: int((node.status.allocatable or {}).get(resource, 0)) for node in nodes}
    enough = sorted(name for name, there in having.items() if there >= count)
    text = f"{count} in one pod requested; " + (
        f"on {counted(len(enough), 'node')}: {', '.join(enough[:5])}"
        if enough
        else f"the most on one node: {max(having.values(), default=0)}"
    )
    return Finding(
        what,
        bool(enough),
        text,
        "request fewer (gpus, accelerators), or install the GPUs' device plugin on the nodes",
    )


def _kubeflow(namespace: Namespace) -> Finding:
    named = {field: os.environ.get(variable, "") for field, variable in VARIABLES.items()}
    access = Access(**{**named, "namespace": namespace.name if namespace.named else ""})
    if not access.host and not os.environ.get("KUBERNETES_SERVICE_HOST"):
        return Finding("kubeflow", True, f"not checked: set {VARIABLES['host']} to the URL of its API")
    try:
        access = complete(access)
        profile_for_runs(access)
    except TutelageError as error:
        return Finding("kubeflow", False, error.problem, error.remedy)
    return Finding("kubeflow", True, f"{access.host} accepts the login")
