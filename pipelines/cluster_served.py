"""Which kinds of jobs a cluster serves, in which versions, for the launchers that a recipe uses."""

import json
from collections.abc import Iterator
from typing import Any

from components.launch.kind import Resource
from components.launch.refusals import OPERATORS
from components.launch.served_schema import TRAINJOB, served_trainjob
from pipelines.doctor import Finding
from pipelines.recipe import Recipe

SERVED = {
    "RayJob": Resource("ray.io", "v1", "rayjobs", "RayJob"),
    "TrainJob": TRAINJOB,
    "PyTorchJob": Resource("kubeflow.org", "v1", "pytorchjobs", "PyTorchJob"),
}


def launchers_of(moved: Recipe | None) -> set[str]:
    """The launchers that a recipe uses, its jobs moved to the cluster."""
    if moved is None:
        return set()
    return {moved.synthesize.launch.launcher, *(item.settings.launch.launcher for item in moved.train.values())}


def examine_served(client: Any, moved: Recipe | None) -> Iterator[Finding]:
    """A finding for each kind: which versions are served, and which shape a TrainJob has."""
    from kubernetes.client import ApiException

    wanted = launchers_of(moved)
    for launcher, resource in SERVED.items():
        try:
            versions = served_versions(client, resource)
        except ApiException as error:
            yield Finding(
                launcher, launcher not in wanted, f"cannot be seen: {error.status} {error.reason}", "try again"
            )
            continue
        if resource.version in versions:
            shape = _shape(client) if launcher == "TrainJob" else ""
            text = f"{resource.plural}.{resource.group} in {', '.join(versions)}{shape}"
            yield Finding(launcher, not shape.endswith("!"), text, "install Kubeflow Trainer 2.1 or later")
        else:
            there = f", only {', '.join(versions)}" if versions else ""
            text = f"{resource.api_version} is not served{there}" + ("" if launcher in wanted else "; not needed here")
            yield Finding(
                launcher,
                launcher not in wanted,
                text,
                f"install {OPERATORS[resource.group]}, or choose another launcher in placement.jobs",
            )


def served_versions(client: Any, resource: Resource) -> list[str]:
    """The served versions of a group that have the resource, the preferred one first."""
    group = _get(client, f"/apis/{resource.group}")
    versions = [str(version["version"]) for version in (group or {}).get("versions", [])]
    return [version for version in versions if _has(client, resource, version)]


def _has(client: Any, resource: Resource, version: str) -> bool:
    found = _get(client, f"/apis/{resource.group}/{version}") or {}
    return any(one["name"] == resource.plural for one in found.get("resources", []))


def _shape(client: Any) -> str:
    """Which of the two shapes a TrainJob has here, in words; ends with `!` when it is neither."""
    served = served_trainjob(_get(client, f"/openapi/v3/apis/{TRAINJOB.api_version}") or {})
    if served is None:
        return ", of a shape that Tutelage does not know!"
    return (
        f", shape with {served.overrides} (Trainer {'2.2 or later' if served.overrides == 'runtimePatches' else '2.1'})"
    )


def _get(client: Any, path: str) -> dict[str, Any] | None:
    from kubernetes.client import ApiException

    try:
        answer = client.call_api(
            path,
            "GET",
            header_params={"Accept": "application/json"},
            auth_settings=["BearerToken"],
            _return_http_data_only=True,
            _preload_content=False,
            _request_timeout=30,
        )
    except ApiException as error:
        if error.status == 404:
            return None
        raise
    found: dict[str, Any] = json.loads(answer.data)
    return found
