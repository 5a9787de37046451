"""A thin layer over the official client: objects of one namespace as plain dicts, errors that say what to do."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

from kubernetes.client import ApiClient, ApiException
from urllib3.exceptions import HTTPError, SSLError

from components.launch.api.connect import connect
from components.launch.api.refusals import (
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
from components.launch.api.request import METHODS, READ_SECONDS, ApiRequest
from components.launch.api.resources import LOGS, Object, Resource
from components.launch.api.streams import changes_of, lines_of

CONNECT_SECONDS = 10.0
WATCH_SECONDS = 60
"""How long one watch lasts; then everything is listed again, whatever the watch reported."""
ROLES_SECONDS = 60.0
"""How long after an outage a missing right counts as temporary: a server that has just started has not loaded roles."""
OPENAPI_SECONDS = 60.0
LOG_SILENCE_SECONDS = 90.0
"""A log without a new line for so long is requested again: its connection may be dead."""


@dataclass(frozen=True)
class Listed:
    """A list, and the version from which to watch what comes after it."""

    items: list[Object]
    version: str


@dataclass(frozen=True)
class Selector:
    """Selects objects of a kind: by labels, by the name of one, or by another field that the API supports."""

    labels: str = ""
    name: str = ""
    field: str = ""

    @property
    def query(self) -> dict[str, str]:
        """As parameters of a request."""
        labels = {"labelSelector": self.labels} if self.labels else {}
        selected = f"metadata.name={self.name}" if self.name else self.field
        return labels | ({"fieldSelector": selected} if selected else {})


class Cluster:
    """One namespace of a cluster. Safe to use from many threads.

    Every method raises Unreachable for a temporary failure, Forbidden for a missing right, and NotServed for a kind
    that the API server does not serve.

    Args:
        namespace: of all objects.
        connecting: makes a client; called again when the server no longer accepts the token.
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
        """Whether the API server serves a kind; True too where this account may not use discovery.

        Every authenticated account may (the ClusterRole system:discovery). A request for the kind itself would not
        tell: the server checks rights first, so an account whose Role does not name the kind gets 403 and never 404.
        """
        try:
            found = self._json(ApiRequest("get", resource, path=f"/apis/{resource.api_version}"))
        except (NotServed, Absent):
            return False
        except Forbidden:
            return True
        return any(each["name"] == resource.plural for each in found.get("resources") or [])

    def get(self, resource: Resource, name: str) -> Object | None:
        """One object; None when there is none."""
        try:
            return self._json(ApiRequest("get", resource, name))
        except Absent:
            return None

    def select(self, resource: Resource, selector: Selector) -> Listed:
        """All objects that the selector matches."""
        found = self._json(ApiRequest("list", resource, query=selector.query))
        return Listed(found.get("items") or [], found.get("metadata", {}).get("resourceVersion", ""))

    def create(self, resource: Resource, body: Object) -> Object:
        """Create an object. Raises Conflict when the name is taken."""
        return self._json(ApiRequest("create", resource, body=body))

    def patch(self, resource: Resource, name: str, body: Object) -> None:
        """Merge into an object; nothing happens when it is gone. Raises Conflict when the body has another uid."""
        try:
            self._json(ApiRequest("patch", resource, name, body=body))
        except Absent:
            return

    def delete(
        self, resource: Resource, name: str, uid: str = "", policy: Literal["Foreground", "Background"] = "Foreground"
    ) -> None:
        """Delete an object; nothing happens when it is gone or no longer the one of `uid`.

        `policy` says whether it is deleted after all that it owns (Foreground), or before.
        """
        body: Object = {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": policy}
        if uid:
            body["preconditions"] = {"uid": uid}
        try:
            self._json(ApiRequest("delete", resource, name, body=body))
        except (Absent, Conflict):
            return

    @contextmanager
    def watch(self, resource: Resource, selector: Selector, version: str) -> Iterator[Iterator[tuple[str, Object]]]:
        """Changes after a version, as (ADDED | MODIFIED | DELETED, object), until the server ends the watch.

        Raises Expired when the version is too old.
        """
        query = {"watch": "true", "resourceVersion": version, "timeoutSeconds": str(WATCH_SECONDS)}
        watching = ApiRequest(
            "watch", resource, query={**selector.query, **query}, silence=WATCH_SECONDS + READ_SECONDS
        )
        with self._answer(watching) as answer:
            yield changes_of(lines_of(answer))

    @contextmanager
    def follow_log(self, pod: str, container: str, since: str = "") -> Iterator[Iterator[bytes]]:
        """The lines of a container's log as they come, each after its timestamp; `since` is RFC 3339.

        The last line lacks its newline when the connection broke within it. Raises Absent when the pod is gone.
        """
        query = {"container": container, "follow": "true", "timestamps": "true"}
        query |= {"sinceTime": since} if since else {}
        request = ApiRequest("get", LOGS, query=query, silence=LOG_SILENCE_SECONDS, path=self._log_path(pod))
        with self._answer(request) as answer:
            yield lines_of(answer)

    def read_log(self, pod: str, container: str, lines: int) -> list[str]:
        """The last lines of a container's log. Raises Absent or NotReady when there is none."""
        query = {"container": container, "tailLines": str(lines)}
        with self._answer(ApiRequest("get", LOGS, query=query, path=self._log_path(pod))) as answer:
            return [line.decode(errors="replace").rstrip() for line in lines_of(answer)]

    def openapi(self, resource: Resource) -> Object | None:
        """The OpenAPI v3 document of a resource's group; None when the group is not served."""
        path = f"/openapi/v3/apis/{resource.api_version}"
        try:
            return self._json(ApiRequest("get", resource, silence=OPENAPI_SECONDS, path=path))
        except (NotServed, Absent):
            return None

    def _json(self, request: ApiRequest) -> Object:
        with self._answer(request) as answer:
            found: Object = json.loads(answer.data)
            return found

    @contextmanager
    def _answer(self, request: ApiRequest) -> Iterator[Any]:
        """An answer to be read; failures of the request and of the reading are raised as our own errors."""
        try:
            answer = self._ask_with_fresh_token(request)
            try:
                yield answer
            finally:
                # A connection that may hold the rest of a stream is not reused.
                answer.close()
        except ApiException as error:
            raise self._explained(error, request) from error
        except SSLError as error:
            if UNTRUSTED in str(error):
                raise untrusted(str(error)) from error
            raise Unreachable(f"{request.words}: {error}") from error
        except (HTTPError, OSError, json.JSONDecodeError) as error:
            raise Unreachable(f"{request.words}: {error}") from error

    def _ask_with_fresh_token(self, request: ApiRequest) -> Any:
        """Ask; when the server rejects the token, which may have been rotated, read the credentials and ask again."""
        try:
            return self._ask(request)
        except ApiException as error:
            if error.status != 401:
                raise
        self._client = self._connecting()
        return self._ask(request)

    def _explained(self, error: ApiException, request: ApiRequest) -> Exception:
        """The refusal. A right to a kind that is not served does not count as missing, nor does one after an outage."""
        refused = refusal(error, request.verb, request.resource, self.namespace)
        if not isinstance(refused, MissingRight):
            return refused
        if request.resource.group and not request.path and not self.serves(request.resource):
            return not_served(request.resource)
        soon = time.monotonic() - self._silent_at < ROLES_SECONDS
        return Unreachable(str(refused)) if soon else refused

    def _ask(self, request: ApiRequest) -> Any:
        try:
            return self._call(request)
        except (ApiException, HTTPError, OSError) as error:
            if not isinstance(error, ApiException) or not error.status or error.status >= 500:
                self._silent_at = time.monotonic()
            raise

    def _call(self, request: ApiRequest) -> Any:
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

    def _log_path(self, pod: str) -> str:
        return f"/api/v1/namespaces/{self.namespace}/pods/{pod}/log"

    def _path(self, resource: Resource, name: str) -> str:
        start = "/apis" if resource.group else "/api"
        return f"{start}/{resource.api_version}/namespaces/{self.namespace}/{resource.plural}" + (
            f"/{name}" if name else ""
        )
