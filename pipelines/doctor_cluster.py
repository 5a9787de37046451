"""Looks at what a recipe needs of a Kubernetes cluster and of Kubeflow, and says what to do about what is missing.

What the one who asks may not see is said so, and is no fault: a step's own account may see more, or need it less.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from components.launch.cluster import Cluster
from components.launch.connect import connect
from components.launch.pods import Pods
from components.launch.refusals import Absent, Conflict, Forbidden, Unreachable
from components.shared.errors import JobError, SettingsError, TutelageError
from pipelines.cluster_account import account_of_steps
from pipelines.cluster_objects import examine_objects, on_cluster
from pipelines.cluster_pod import Said, run_pod
from pipelines.cluster_retries import examine_retries
from pipelines.cluster_rights import examine_rights
from pipelines.cluster_served import examine_served
from pipelines.doctor import Finding
from pipelines.find_run import VARIABLES
from pipelines.kubeflow import complete, profile_for_runs
from pipelines.move_jobs import move_jobs
from pipelines.namespace import Namespace, choose_namespace
from pipelines.placement import KINDS, Placement
from pipelines.recipe import Recipe
from pipelines.submission import Access

TRY_STORE = "components.shared.try_store"


def examine_cluster(recipe: Recipe | None, namespace: Namespace | None = None) -> Iterator[Finding]:
    """Look at the cluster that KUBECONFIG (or this pod) names, and at what a recipe and its placement need there.

    Args:
        recipe: None: what holds for every recipe.
        namespace: of the run and its steps; None: the one that commands choose by themselves.
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
class Image:
    """The pods that an image would run in, and whether they are a job's: those may be in a namespace of their own."""

    pods: Pods
    by_job: bool = False


def images_of(placement: Placement, moved: Recipe | None) -> dict[str, Image]:
    """Every image that a run uses, with the pods that it would run in: a job's own, else the steps'."""
    common = {name: getattr(placement.pods, name) for name in placement.pods.model_fields_set}
    steps = dict.fromkeys(placement.image_of(step) for step in KINDS)
    found = {image: Image(Pods(**{**common, "image": image})) for image in steps}
    for pods in job_pods_of(moved):
        found[pods.image] = Image(pods, by_job=True)
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
            f"{host} answers {error.status} {error.reason}",
            "check the kubeconfig's login: KUBECONFIG",
        )
    except (HTTPError, OSError) as error:
        return Finding("cluster", False, f"{host} cannot be reached: {error}", "check KUBECONFIG and the network")
    return Finding("cluster", True, f"{found.git_version} at {host}")


def _pods(steps: Cluster, jobs: Cluster, store: str, images: dict[str, Image]) -> Iterator[Finding]:
    """Each image in a pod of its own, which also tries the store with the run's environment and secrets."""
    root = store if "://" in store else ""
    for image, use in images.items():
        try:
            said = run_pod(jobs if use.by_job else steps, use.pods, TRY_STORE, *([root] if root else []))
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
        yield from _judged(image, root, said)


def _judged(image: str, root: str, said: Said) -> Iterator[Finding]:
    if not said.started:
        yield Finding(f"image {image}", False, said.text, said.remedy)
        return
    ours = said.good or not ("No module named" in said.text or "exec" in said.text)
    yield Finding(
        f"image {image}",
        ours,
        "can be pulled and starts" if ours else said.text,
        "use an image in which Tutelage is installed; those of the folder images are",
    )
    if root and ours:
        yield Finding(
            f"store from a pod of {image}",
            said.good,
            f"{root} ({said.text})" if said.good else said.text,
            "check AWS_ENDPOINT_URL in placement.pods.environment, the keys' Secret, the bucket, and "
            "certificate_authority where the store has a certificate of your own",
        )


def _gpus(client: Any, moved: Recipe | None) -> Iterator[Finding]:
    """Nodes that have as many GPUs as the largest pod of each kind of GPU asks for."""
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
            return Finding(what, True, f"{count} in one pod wanted; nodes cannot be seen with this login")
        return Finding(what, False, f"nodes: {error.status} {error.reason}", "try again")
    having = {node.metadata.name: int((node.status.allocatable or {}).get(resource, 0)) for node in nodes}
    enough = sorted(name for name, there in having.items() if there >= count)
    text = f"{count} in one pod wanted; " + (
        f"{len(enough)} nodes have them: {', '.join(enough[:5])}"
        if enough
        else f"the most on one node: {max(having.values(), default=0)}"
    )
    return Finding(
        what, bool(enough), text, "ask for fewer (gpus, accelerators), or install the GPU's device plugin on the nodes"
    )


def _kubeflow(namespace: Namespace) -> Finding:
    named = {field: os.environ.get(variable, "") for field, variable in VARIABLES.items()}
    access = Access(**{**named, "namespace": namespace.name if namespace.named else ""})
    if not access.host and not os.environ.get("KUBERNETES_SERVICE_HOST"):
        return Finding("kubeflow", True, f"not looked at: set {VARIABLES['host']} to the URL of its API")
    try:
        access = complete(access)
        profile_for_runs(access)
    except TutelageError as error:
        return Finding("kubeflow", False, error.problem, error.remedy)
    return Finding("kubeflow", True, f"{access.host} lets us in")
