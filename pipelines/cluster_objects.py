"""Whether the Secrets, ConfigMaps and service accounts that a placement names are there, with their keys."""

from collections.abc import Iterator

from components.launch.cluster import Cluster
from components.launch.kind import Resource
from components.launch.pods import PodPlacement
from components.launch.refusals import Forbidden, Unreachable
from components.shared.errors import JobError
from pipelines.doctor import Finding
from pipelines.placement import Placement
from pipelines.recipe import Recipe

SECRETS = Resource("", "v1", "secrets", "Secret")
CONFIG_MAPS = Resource("", "v1", "configmaps", "ConfigMap")
ACCOUNTS = Resource("", "v1", "serviceaccounts", "ServiceAccount")
Named = dict[tuple[Resource, str], set[str]]


def named_in(placement: Placement, moved: Recipe | None) -> Named:
    """The keys that each named object must have, by kind and name; only names, never values."""
    named: Named = {}
    if placement.service_account:
        named.setdefault((ACCOUNTS, placement.service_account), set())
    every: list[PodPlacement] = [placement.pods]
    if moved:
        launches = [moved.synthesize.launch, *(item.settings.launch for item in moved.train.values())]
        every += [launch.pods for launch in launches if launch.on_cluster]
    for pods in every:
        for one in pods.secrets.values():
            named.setdefault((SECRETS, one.secret), set()).add(one.key)
        for name in pods.image_pull_secrets:
            named.setdefault((SECRETS, name), set())
        if pods.service_account:
            named.setdefault((ACCOUNTS, pods.service_account), set())
        authority = pods.certificate_authority
        if authority:
            kind, name = (CONFIG_MAPS, authority.config_map) if authority.config_map else (SECRETS, authority.secret)
            named.setdefault((kind, name), set()).add(authority.key)
    return named


def examine_objects(cluster: Cluster, placement: Placement, moved: Recipe | None) -> Iterator[Finding]:
    """A finding for each object that is named."""
    for (kind, name), keys in named_in(placement, moved).items():
        yield _look(cluster, kind, name, keys)


def _look(cluster: Cluster, kind: Resource, name: str, keys: set[str]) -> Finding:
    what = f"{kind.kind} {name}"
    try:
        found = cluster.get(kind, name)
    except Forbidden:
        return Finding(what, True, f"cannot be seen with this login (get {kind.plural} is not granted)")
    except (JobError, Unreachable) as error:
        return Finding(what, False, str(error), "try again")
    make = f"kubectl create -n {cluster.namespace} {_how_to_make(kind, name, keys)}"
    if found is None:
        return Finding(what, False, f"is not in namespace {cluster.namespace}", make)
    there = {*(found.get("data") or {}), *(found.get("binaryData") or {})}
    missing = sorted(keys - there)
    if missing:
        text = f"has no key {', '.join(missing)}; it has {', '.join(sorted(there)) or 'none'}"
        return Finding(what, False, text, f"add the key, or name another in the placement: {make}")
    return Finding(what, True, f"is there, with {', '.join(sorted(keys))}" if keys else "is there")


def _how_to_make(kind: Resource, name: str, keys: set[str]) -> str:
    files = " ".join(f"--from-file={key}=FILE" for key in sorted(keys))
    if kind is ACCOUNTS:
        return f"serviceaccount {name}"
    if kind is CONFIG_MAPS:
        return f"configmap {name} {files}"
    return f"secret generic {name} {files}" if keys else f"secret docker-registry {name} --docker-server=… (its login)"
