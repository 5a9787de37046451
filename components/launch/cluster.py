"""A small face over the official client: objects of one namespace as plain dicts, errors that explain themselves."""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

from kubernetes.client import ApiClient, ApiException
from urllib3.exceptions import HTTPError, SSLError

from components.launch.connect import connect
from components.launch.kind import Object, Resource
from components.launch.refusals import (
    UNTRUSTED,
    Absent,
    Conflict,
    Forbidden,
    MissingRight,
    NotServed,
    Unreachable,
    not_served,
    refusal,
    untrusted,
)
from components.launch.streams import changes_of, lines_of

PODS = Resource("", "v1", "pods", "Pod")
LOGS = Resource("", "v1", "pods", "Log")
EVENTS = Resource("", "v1", "events", "Event")
CONNECT_SECONDS = 10.0
READ_SECONDS = 30.0
WATCH_SECONDS = 60
"""How long one watch lasts; then everything is listed again, whatever was seen."""
ROLES_SECONDS = 60.0
"""For how long after a silence a missing right is not believed: a server that has just come back knows no roles yet."""
LOG_SILENCE_SECONDS = 90.0
"""A log that says nothing for so long is asked for again: its connection may be dead."""

METHODS = {"get": "GET", "list": "GET", "watch": "GET", "create": "POST", "patch": "PATCH", "delete": "DELETE"}


@dataclass(frozen=True)
class Listed:
    """A list, and the version from which to watch what comes after it."""

    items: list[Object]
    version: str


@dataclass(frozen=True)
class Selector:
    """Which objects of a kind: by labels, by the name of one, or by another field that the API can select by."""

    labels: str = ""
    name: str = ""
    field: str = ""

    @property
    def query(self) -> dict[str, str]:
        """As parameters of a request."""
        labels = {"labelSelector": self.labels} if self.labels else {}
        selected = f"metadata.name={self.name}" if self.name else self.field
        return labels | ({"fieldSelector": selected} if selected else {})


@dataclass(frozen=True)
class Request:
    """What is asked of the API server; `verb` is RBAC's, `silence` the longest pause (s) within an answer.

    `path`: asked for instead of the resource in the namespace.
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


class Cluster:
    """One namespace of a cluster. Safe to use from many threads.

    Every method raises Unreachable for what may pass, Forbidden for a missing right, and NotServed for a kind that the
    API server does not know.

    Args:
        namespace: where everything is.
        connecting: makes a client; called again when the server no longer knows the token.
    """

    def __init__(self, namespace: str, connecting: Callable[[], ApiClient] = connect) -> None:
        self.namespace = namespace
        self._connecting = connecting
        self._client = connecting()
        self._silent_at = float("-inf")

    def beside(self, namespace: str) -> "Cluster":
        """Another namespace of the same cluster."""
        return Cluster(namespace, self._connecting)

    def serves(self, resource: Resource) -> bool:
        """Whether the API server knows a kind; True too where discovery is closed to this account.

        Every authenticated account may ask discovery (the ClusterRole system:discovery). The kind itself does not tell:
        the server asks for the right to it first, so an account whose Role does not name it gets 403 and never 404.
        """
        try:
            found = self._json(Request("get", resource, path=f"/apis/{resource.api_version}"))
        except (NotServed, Absent):
            return False
        except Forbidden:
            return True
        return any(each["name"] == resource.plural for each in found.get("resources") or [])

    def get(self, resource: Resource, name: str) -> Object | None:
        """One object; None when there is none."""
        try:
            return self._json(Request("get", resource, name))
        except Absent:
            return None

    def select(self, resource: Resource, selector: Selector) -> Listed:
        """All that the selector means."""
        found = self._json(Request("list", resource, query=selector.query))
        return Listed(found.get("items") or [], found.get("metadata", {}).get("resourceVersion", ""))

    def create(self, resource: Resource, body: Object) -> Object:
        """Create it. Raises Conflict when the name is taken."""
        return self._json(Request("create", resource, body=body))

    def patch(self, resource: Resource, name: str, body: Object) -> None:
        """Merge into an object; nothing happens when it is gone. Raises Conflict when its uid is another."""
        try:
            self._json(Request("patch", resource, name, body=body))
        except Absent:
            return

    def delete(
        self, resource: Resource, name: str, uid: str = "", policy: Literal["Foreground", "Background"] = "Foreground"
    ) -> None:
        """Delete an object; nothing happens when it is gone or no longer the one of `uid`.

        `policy` says whether it goes after all that it owns (Foreground), or before.
        """
        body: Object = {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": policy}
        if uid:
            body["preconditions"] = {"uid": uid}
        try:
            self._json(Request("delete", resource, name, body=body))
        except (Absent, Conflict):
            return

    @contextmanager
    def watch(self, resource: Resource, selector: Selector, version: str) -> Iterator[Iterator[tuple[str, Object]]]:
        """Changes after a version, as (ADDED | MODIFIED | DELETED, object), until the server ends the watch.

        Raises Expired when the version is too old.
        """
        query = {"watch": "true", "resourceVersion": version, "timeoutSeconds": str(WATCH_SECONDS)}
        watching = Request("watch", resource, query={**selector.query, **query}, silence=WATCH_SECONDS + READ_SECONDS)
        with self._answer(watching) as answer:
            yield changes_of(lines_of(answer))

    @contextmanager
    def follow_log(self, pod: str, container: str, since: str = "") -> Iterator[Iterator[bytes]]:
        """The lines of a container's log as they come, each with its time before it; `since` is RFC 3339.

        The last line lacks its newline when the connection was cut within it. Raises Absent when the pod is gone.
        """
        query = {"container": container, "follow": "true", "timestamps": "true"}
        query |= {"sinceTime": since} if since else {}
        with self._answer(Request("get", LOGS, f"{pod}/log", query, silence=LOG_SILENCE_SECONDS)) as answer:
            yield lines_of(answer)

    def read_log(self, pod: str, container: str, lines: int) -> list[str]:
        """The last lines of a container's log. Raises Absent or NotReady when there is none."""
        query = {"container": container, "tailLines": str(lines)}
        with self._answer(Request("get", LOGS, f"{pod}/log", query)) as answer:
            return [line.decode(errors="replace").rstrip() for line in lines_of(answer)]

    def _json(self, request: Request) -> Object:
        with self._answer(request) as answer:
            found: Object = json.loads(answer.data)
            return found

    @contextmanager
    def _answer(self, request: Request) -> Iterator[Any]:
        """An answer that is being read; what goes wrong while it is asked for or read is told in our words."""
        try:
            answer = self._ask_again_if_unknown(request)
            try:
                yield answer
            finally:
                # A connection that may hold the rest of a stream is not used again.
                answer.close()
        except ApiException as error:
            raise self._explained(error, request) from error
        except SSLError as error:
            if UNTRUSTED in str(error):
                raise untrusted(str(error)) from error
            raise Unreachable(f"{request.words}: {error}") from error
        except (HTTPError, OSError, json.JSONDecodeError) as error:
            raise Unreachable(f"{request.words}: {error}") from error

    def _ask_again_if_unknown(self, request: Request) -> Any:
        """Ask; a token that the server does not know was rotated, so read the credentials again and ask once more."""
        try:
            return self._ask(request)
        except ApiException as error:
            if error.status != 401:
                raise
        self._client = self._connecting()
        return self._ask(request)

    def _explained(self, error: ApiException, request: Request) -> Exception:
        """The refusal; a right that is missing to a kind that is not served, or soon after a silence, is none."""
        refused = refusal(error, request.verb, request.resource, self.namespace)
        if not isinstance(refused, MissingRight):
            return refused
        if request.resource.group and not request.path and not self.serves(request.resource):
            return not_served(request.resource)
        soon = time.monotonic() - self._silent_at < ROLES_SECONDS
        return Unreachable(str(refused)) if soon else refused

    def _ask(self, request: Request) -> Any:
        try:
            return self._call(request)
        except (ApiException, HTTPError, OSError) as error:
            if not isinstance(error, ApiException) or not error.status or error.status >= 500:
                self._silent_at = time.monotonic()
            raise

    def _call(self, request: Request) -> Any:
        kind = "application/merge-patch+json" if request.verb == "patch" else "application/json"
        return self._client.call_api(
            request.path or self._path(request.resource, request.name),
            METHODS[request.verb],
            query_params=list(request.query.items()),
            header_params={"Content-Type": kind, "Accept": "application/json, */*"},
            body=request.body,
            auth_settings=["BearerToken"],
            _return_http_data_only=True,
            _preload_content=False,
            _request_timeout=(CONNECT_SECONDS, request.silence),
        )

    def _path(self, resource: Resource, name: str) -> str:
        start = f"/apis/{resource.api_version}" if resource.group else f"/api/{resource.version}"
        return f"{start}/namespaces/{self.namespace}/{resource.plural}" + (f"/{name}" if name else "")
