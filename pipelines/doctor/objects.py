"""Whether the Secrets (with their keys), ConfigMaps, ServiceAccounts and runtimes that a placement names exist."""

from collections.abc import Iterator

from components.launch.api.cluster import Cluster
from components.launch.api.refusals import Forbidden, Unreachable
from components.launch.api.resources import TRAINING_RUNTIME, Object, Resource
from components.launch.job import Launch
from components.launch.pods import PodPlacement
from components.launch.registry import LAUNCHERS
from components.shared.errors import JobError
from components.shared.finding import Finding
from pipelines.pipeline import Recipe
from pipelines.placement.placement import Placement
from pipelines.registry import tasks_of

SECRETS = Resource("", "v1", "secrets", "Secret")
CONFIG_MAPS = Resource("", "v1", "configmaps", "ConfigMap")
ACCOUNTS = Resource("", "v1", "serviceaccounts", "ServiceAccount")
Named = dict[tuple[Resource, str], set[str]]


def named_by_steps(placement: Placement) -> Named:
    """The objects that the steps' pods refer to, by kind and name, with the names of the keys that they must have."""
    named: Named = {}
    if placement.service_account:
        named[ACCOUNTS, placement.service_account] = set()
    _add_pods(named, placement.pods, account=False)
    return named


def named_by_jobs(placement: Placement, moved: Recipe | None) -> Named:
    """The objects that the pods of jobs refer to, with the names of the keys that they must have."""
    named: Named = {}
    launches = on_cluster(moved) if moved else []
    for launch in launches:
        runtime = LAUNCHERS[launch.launcher].runtime
        if runtime is not None:
            named.setdefault((runtime, launch.training_runtime), set())
    every: list[PodPlacement] = [placement.pods, *(launch.pods for launch in launches)]
    for pods in every:
        _add_pods(named, pods, account=True)
    return named


def _add_pods(named: Named, pods: PodPlacement, *, account: bool) -> None:
    """Add what pods refer to; `account`: their service account too, which steps get from Kubeflow or the placement."""
    for one in pods.secrets.values():
        named.setdefault((SECRETS, one.secret), set()).add(one.key)
    for name in pods.image_pull_secrets:
        named.setdefault((SECRETS, name), set())
    if account and pods.service_account:
        named.setdefault((ACCOUNTS, pods.service_account), set())
    authority = pods.certificate_authority
    if authority:
        kind, name = (CONFIG_MAPS, authority.config_map) if authority.config_map else (SECRETS, authority.secret)
        named.setdefault((kind, name), set()).add(authority.key)


def on_cluster(moved: Recipe) -> list[Launch]:
    """The launches of a recipe's jobs that run on the cluster."""
    return [task.launch for task in tasks_of(moved) if task.launch is not None and task.launch.on_cluster]


def examine_objects(steps: Cluster, jobs: Cluster, placement: Placement, moved: Recipe | None) -> Iterator[Finding]:
    """A finding for each object that is referred to, in the namespace where it is needed: usually there is only one."""
    of_steps, of_jobs = named_by_steps(placement), named_by_jobs(placement, moved)
    if steps.namespace == jobs.namespace:
        for key in of_jobs:
            of_steps[key] = of_steps.get(key, set()) | of_jobs[key]
        of_jobs = {}
    for cluster, named in ((steps, of_steps), (jobs, of_jobs)):
        for (kind, name), keys in named.items():
            yield _look(cluster, kind, name, keys)


def _look(cluster: Cluster, kind: Resource, name: str, keys: set[str]) -> Finding:
    what = f"{kind.kind} {name}"
    try:
        found = cluster.get(kind, name)
    except Forbidden:
        return Finding(what, True, f"cannot be read with this login, which may not get {kind.plural}")
    except JobError as error:
        return Finding(what, False, error.problem, error.remedy)
    except Unreachable as error:
        return Finding(what, False, str(error), "try again")
    return _judged(found, cluster.namespace, kind, name, keys)


def _judged(found: Object | None, namespace: str, kind: Resource, name: str, keys: set[str]) -> Finding:
    what, make = f"{kind.kind} {name}", _how_to_make(kind, name, keys, namespace)
    if found is None:
        return Finding(what, False, f"not found in namespace {namespace}", make)
    there = {*(found.get("data") or {}), *(found.get("binaryData") or {})}
    missing = sorted(keys - there)
    if missing:
        text = f"lacks the key {', '.join(missing)}; it has {', '.join(sorted(there)) or 'none'}"
        return Finding(what, False, text, f"add the key, or name another in the placement: {make}")
    return Finding(what, True, f"exists, with {', '.join(sorted(keys))}" if keys else "exists")


def _how_to_make(kind: Resource, name: str, keys: set[str], namespace: str) -> str:
    if kind == TRAINING_RUNTIME:
        return f"kubectl apply -n {namespace} -f k8s/base/trainingruntime.yaml"
    files = "".join(f" --from-file={key}=FILE" for key in sorted(keys))
    if kind is ACCOUNTS:
        made = f"serviceaccount {name}"
    elif kind is CONFIG_MAPS:
        made = f"configmap {name}{files}"
    else:
        made = f"secret generic {name}{files}" if keys else f"secret docker-registry {name} --docker-server=… (a login)"
    return f"kubectl create -n {namespace} {made}"
