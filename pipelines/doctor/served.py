"""Whether a cluster serves the custom resources that a recipe's jobs need, and in which versions."""

import json
from collections.abc import Iterator
from typing import Any

from components.launch.api.resources import TRAINJOB, Resource
from components.launch.kinds.served_schema import served_trainjob
from components.launch.registry import custom_resources
from components.shared.finding import Finding
from pipelines.pipeline import Recipe
from pipelines.registry import tasks_of


def launchers_of(moved: Recipe | None) -> set[str]:
    """The launchers that a recipe uses, its jobs moved to the cluster."""
    if moved is None:
        return set()
    return {task.launch.launcher for task in tasks_of(moved) if task.launch is not None}


def examine_served(client: Any, moved: Recipe | None) -> Iterator[Finding]:
    """A finding for each kind: the versions served, and the schema of TrainJob."""
    from kubernetes.client import ApiException

    wanted = launchers_of(moved)
    for launcher, resource in custom_resources().items():
        try:
            versions = served_versions(client, resource)
        except ApiException as error:
            yield Finding(
                launcher, launcher not in wanted, f"cannot be read: {error.status} {error.reason}", "try again"
            )
            continue
        if resource.version in versions:
            shape = _shape(client) if resource == TRAINJOB else ""
            text = f"{resource.plural}.{resource.group} in {', '.join(versions)}{shape}"
            yield Finding(launcher, not shape.endswith("!"), text, "install Kubeflow Trainer 2.1 or later")
        else:
            there = f", only {', '.join(versions)}" if versions else ""
            text = f"{resource.api_version} is not served{there}" + ("" if launcher in wanted else "; not needed here")
            yield Finding(
                launcher,
                launcher not in wanted,
                text,
                f"install {resource.operator}, or choose another launcher in placement.jobs",
            )


def served_versions(client: Any, resource: Resource) -> list[str]:
    """The served versions of the group that include the resource, the preferred version first."""
    group = _get(client, f"/apis/{resource.group}")
    versions = [str(version["version"]) for version in (group or {}).get("versions", [])]
    return [version for version in versions if _has(client, resource, version)]


def _has(client: Any, resource: Resource, version: str) -> bool:
    found = _get(client, f"/apis/{resource.group}/{version}") or {}
    return any(one["name"] == resource.plural for one in found.get("resources", []))


def _shape(client: Any) -> str:
    """Which of the two schemas TrainJob has here, in words; ends with `!` when it is neither."""
    served = served_trainjob(_get(client, f"/openapi/v3/apis/{TRAINJOB.api_version}") or {})
    if served is None:
        return ", with a schema that Tutelage does not support!"
    trainer = "2.2 or later" if served.overrides == "runtimePatches" else "2.1"
    return f", schema with {served.overrides} (Trainer {trainer})"


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
