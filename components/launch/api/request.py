"""Requests to the API server."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from components.launch.api.resources import Object, Resource

READ_SECONDS = 30.0
METHODS = {"get": "GET", "list": "GET", "watch": "GET", "create": "POST", "patch": "PATCH", "delete": "DELETE"}
"""The HTTP method of each verb."""


@dataclass(frozen=True)
class ApiRequest:
    """One request to the API server.

    Args:
        verb: as in rules of RBAC.
        resource: the kind of object.
        name: of the object; empty for all of them.
        query: parameters.
        body: sent as JSON.
        silence: longest pause (s) within the answer.
        path: requested instead of the resource in the namespace.
    """

    verb: str
    resource: Resource
    name: str = ""
    query: Mapping[str, str] = field(default_factory=dict)
    body: Object | None = None
    silence: float = READ_SECONDS
    path: str = ""

    @property
    def words(self) -> str:
        """For people."""
        return f"{self.verb} {self.resource.plural}"
