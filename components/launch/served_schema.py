"""Which shape of TrainJob the API server serves: Trainer 2.1 and 2.2 differ under one version name.

Read from the server's OpenAPI document, which every authenticated account may read (the ClusterRole system:discovery);
a Role of a namespace cannot grant reading the CustomResourceDefinition itself.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from kubernetes.client import ApiClient, ApiException
from urllib3.exceptions import HTTPError

from components.launch.clock import Clock
from components.launch.connect import connect
from components.launch.kind import Object, Resource
from components.launch.patience import patiently
from components.launch.refusals import Unreachable, refusal

TRAINJOB = Resource("trainer.kubeflow.org", "v1alpha1", "trainjobs", "TrainJob")
Overrides = Literal["runtimePatches", "podTemplateOverrides"]
OVERRIDES: tuple[Overrides, ...] = ("runtimePatches", "podTemplateOverrides")
"""The field of a TrainJob that changes its pods: of Trainer 2.2 and later, and of 2.1."""
CONNECT_SECONDS = 10.0
READ_SECONDS = 60.0


@dataclass(frozen=True)
class ServedTrainJob:
    """What a TrainJob can say on this cluster."""

    overrides: Overrides
    deadline: bool


def served_trainjob(document: Object) -> ServedTrainJob | None:
    """What a document says about TrainJob.

    Args:
        document: the group's OpenAPI v3 document, or the CustomResourceDefinition.

    Returns:
        None when it has no TrainJob of a shape that we know.
    """
    for schema in _schemas(document):
        fields = schema.get("properties", {}).get("spec", {}).get("properties", {})
        for overrides in OVERRIDES:
            if overrides in fields:
                return ServedTrainJob(overrides, deadline="activeDeadlineSeconds" in fields)
    return None


def read_served_trainjob(clock: Clock) -> ServedTrainJob | None:
    """Ask the API server; None when it serves no TrainJob that we know.

    Raises:
        JobError: the server cannot be found, refuses, or does not answer for long.
    """
    client = connect()
    document = patiently(clock, lambda: _read_document(client))
    return served_trainjob(document) if document else None


def _read_document(client: ApiClient) -> Object | None:
    """The group's OpenAPI document; None when the group is not served."""
    try:
        answer = client.call_api(
            f"/openapi/v3/apis/{TRAINJOB.api_version}",
            "GET",
            header_params={"Accept": "application/json"},
            auth_settings=["BearerToken"],
            _return_http_data_only=True,
            _preload_content=False,
            _request_timeout=(CONNECT_SECONDS, READ_SECONDS),
        )
        document: Object = json.loads(answer.data)
    except ApiException as error:
        if error.status == 404:
            return None
        raise refusal(error, "get", TRAINJOB, "") from error
    except (HTTPError, OSError, json.JSONDecodeError) as error:
        raise Unreachable(f"OpenAPI of {TRAINJOB.api_version}: {error}") from error
    return document


def _schemas(document: Object) -> Iterator[Object]:
    """The schemas of TrainJob in an OpenAPI document or a CustomResourceDefinition."""
    for schema in document.get("components", {}).get("schemas", {}).values():
        kinds = schema.get("x-kubernetes-group-version-kind", [])
        if any(each["kind"] == TRAINJOB.kind and each["version"] == TRAINJOB.version for each in kinds):
            yield schema
    if document.get("kind") == "CustomResourceDefinition":
        for version in document["spec"]["versions"]:
            if version["name"] == TRAINJOB.version and version["served"]:
                yield version["schema"]["openAPIV3Schema"]
