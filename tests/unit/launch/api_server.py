"""A fake API server: an HTTP server on loopback that lists, watches, creates, patches and deletes objects and streams
logs as the real one does, answers discovery, and fails on demand.

As in the real one, rights are checked before existence: an account whose Role does not name a kind gets 403 for it,
served or not. An administrator gets the 404.

It differs from the real one: it has one namespace, whichever is asked for; one account, and one Role, which grants
every verb on the kinds in `granted`, less `denied`; kinds without schemas or validation; selectors of equality alone;
merge patches alone; no OpenAPI; no operators and no garbage collector but for a job's pods, which go with it.
"""

import copy
import json
import socket
import threading
import time
import uuid
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from components.launch.api.clock import Clock, seconds_of, timestamp_of
from components.launch.api.resources import Object

SPEED = 100.0
ACCOUNT = "system:serviceaccount:team:pipeline-runner"
GROUPS = {
    "rayjobs": "ray.io/v1",
    "trainjobs": "trainer.kubeflow.org/v1alpha1",
    "pytorchjobs": "kubeflow.org/v1",
    "jobsets": "jobset.x-k8s.io/v1alpha2",
    "plainjobs": "plain.test/v1",
}


class FastClock(Clock):
    """A clock that runs SPEED times faster than the machine's."""

    def __init__(self) -> None:
        self._began = time.time()

    def now(self) -> float:
        return self._began + (time.time() - self._began) * SPEED

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds / SPEED)

    def wait(self, event: threading.Event, seconds: float) -> bool:
        return event.wait(seconds / SPEED)


class ApiServer:
    """Objects by plural and name, of one namespace; `clock` stamps them.

    `on_create` stands for an operator: it is called in a thread of its own with each new resource.
    """

    def __init__(self, clock: Clock) -> None:
        self.clock, self.namespace = clock, "team"
        self.changed = threading.Condition()
        self.objects: dict[tuple[str, str], Object] = {}
        self.history: list[tuple[int, str, str, Object]] = []
        self.logs: dict[str, list[tuple[float, str]]] = {}
        self.version = 1
        self.oldest = 0
        self.token = ""
        self.denied: set[tuple[str, str]] = set()
        # By verb, or by verb and kind.
        self.refused: dict[str | tuple[str, str], tuple[int, str]] = {}
        self.served = {"pods", "events", "plainjobs", "rayjobs", "trainjobs"}
        # Kinds that the account's Role names; None: those that are served, as the chart writes it.
        self.granted: set[str] | None = None
        self.administrator = False
        self.discoverable = True
        self.status = 0
        self.epoch = 0
        # The garbage collector waits for pods that never end.
        self.stuck = False
        self.requests: list[tuple[str, str]] = []
        self.on_create: Callable[[Object], None] = lambda made: None
        self._server: ThreadingHTTPServer | None = None
        self.port = 0
        self.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Listen, on the same port as before."""
        handler = type("Handler", (_Handler,), {"api": self})
        self._server = _Server(("127.0.0.1", self.port), handler)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def stop(self) -> None:
        """Stop listening and close every connection; new ones are refused."""
        assert self._server is not None
        self._server.shutdown()
        self._server.server_close()
        self.cut()

    def cut(self) -> None:
        """Close all open streams."""
        with self.changed:
            self.epoch += 1
            self.changed.notify_all()

    def compact(self) -> None:
        """Make all versions until now too old to watch from, as a compaction of etcd does."""
        with self.changed:
            self.version += 1
            self.oldest = self.version

    def put(self, plural: str, thing: Object) -> Object:
        """Create or replace an object."""
        with self.changed:
            key = (plural, thing["metadata"]["name"])
            self.version += 1
            made = copy.deepcopy(thing)
            meta = made["metadata"]
            meta.setdefault("uid", uuid.uuid4().hex)
            meta.setdefault("creationTimestamp", timestamp_of(self.clock.now()))
            meta |= {"namespace": self.namespace, "resourceVersion": str(self.version)}
            kind = "MODIFIED" if key in self.objects else "ADDED"
            self.objects[key] = made
            self.history.append((self.version, plural, kind, made))
            self.changed.notify_all()
            return copy.deepcopy(made)

    def get(self, plural: str, name: str) -> Object | None:
        with self.changed:
            return copy.deepcopy(self.objects.get((plural, name)))

    def all(self, plural: str) -> list[Object]:
        with self.changed:
            return [copy.deepcopy(thing) for (of, _), thing in self.objects.items() if of == plural]

    def drop(self, plural: str, name: str) -> None:
        """Remove an object at once."""
        with self.changed:
            gone = self.objects.pop((plural, name), None)
            if gone is None:
                return
            self.version += 1
            self.history.append((self.version, plural, "DELETED", gone))
            self.changed.notify_all()

    def say(self, pod: str, *lines: str) -> None:
        """Add lines to a pod's log."""
        with self.changed:
            self.logs.setdefault(pod, []).extend((self.clock.now(), line) for line in lines)
            self.changed.notify_all()

    def asked(self, method: str, part: str) -> int:
        """How many requests had `part` in their path."""
        return sum(1 for one, path in self.requests if one == method and part in path)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True


class _Handler(BaseHTTPRequestHandler):
    api: ApiServer
    protocol_version = "HTTP/1.1"
    verbs = {"GET": "get", "POST": "create", "PATCH": "patch", "DELETE": "delete"}  # noqa: RUF012

    def log_message(self, *_: object) -> None:
        """Log nothing."""

    def do_GET(self) -> None:
        self._serve()

    do_POST = do_PATCH = do_DELETE = do_GET  # noqa: N815

    def _serve(self) -> None:
        api, url = self.api, urlsplit(self.path)
        length = int(self.headers.get("Content-Length") or 0)
        body: Any = json.loads(self.rfile.read(length)) if length else None
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        parts = url.path.strip("/").split("/")
        api.requests.append((self.command, self.path))
        try:
            if api.status == -1:
                self.connection.shutdown(socket.SHUT_RDWR)
                self.close_connection = True
            elif api.status:
                self._refuse(api.status, "the server is currently unable to handle the request")
            elif api.token and self.headers.get("Authorization", "").lower() != f"bearer {api.token}".lower():
                self._refuse(401, "Unauthorized")
            elif "namespaces" not in parts:
                self._discover(url.path)
            else:
                self._serve_objects(*self._place(parts), query, body)
        except OSError:
            self.close_connection = True

    def _place(self, parts: list[str]) -> tuple[str, str]:
        rest = parts[parts.index("namespaces") + 2 :]
        return rest[0], "/".join(rest[1:])

    def _serve_objects(self, plural: str, name: str, query: dict[str, str], body: Any) -> None:
        """Check rights before existence."""
        if not self._allowed(plural, name, query):
            return
        if plural not in self.api.served:
            self._send(404, b"404 page not found\n")
        else:
            self._answer(plural, name, query, body)

    def _discover(self, path: str) -> None:
        """The kinds of a group's version."""
        kinds = [plural for plural in self.api.served if path == f"/apis/{GROUPS.get(plural)}"]
        if not self.api.discoverable:
            self._refuse(403, f'forbidden: User "{ACCOUNT}" cannot get path "{path}"', "Forbidden")
        elif kinds:
            self._json(200, {"kind": "APIResourceList", "resources": [{"name": plural} for plural in kinds]})
        else:
            self._send(404, b"404 page not found\n")

    def _allowed(self, plural: str, name: str, query: dict[str, str]) -> bool:
        api, verb = self.api, self.verbs[self.command]
        if self.command == "GET" and not name:
            verb = "watch" if "watch" in query else "list"
        resource = f"{plural}/log" if name.endswith("/log") else plural
        granted = api.served if api.granted is None else api.granted
        if not api.administrator and (plural not in granted or (verb, resource) in api.denied):
            group = GROUPS.get(plural, "").split("/")[0]
            said = f'cannot {verb} resource "{resource}" in API group "{group}" in the namespace "{api.namespace}"'
            self._refuse(403, f'{plural}.{group} is forbidden: User "{ACCOUNT}" {said}', "Forbidden")
            return False
        refused = api.refused.get(verb) or api.refused.get((verb, plural))
        if refused:
            self._refuse(*refused)
            return False
        return True

    def _answer(self, plural: str, name: str, query: dict[str, str], body: Any) -> None:
        if name.endswith("/log"):
            self._log(name.removesuffix("/log"), query)
        elif self.command == "GET" and name:
            found = self.api.get(plural, name)
            self._json(200, found) if found else self._refuse(404, f'{plural} "{name}" not found', "NotFound")
        elif self.command == "GET":
            self._watch(plural, query) if "watch" in query else self._list(plural, query)
        else:
            {"POST": self._create, "PATCH": self._patch, "DELETE": self._delete}[self.command](plural, name, body)

    def _create(self, plural: str, name: str, body: Any) -> None:
        with self.api.changed:
            if self.api.get(plural, body["metadata"]["name"]):
                self._refuse(409, "already exists", "AlreadyExists")
                return
            made = self.api.put(plural, body)
        threading.Thread(target=self.api.on_create, args=(made,), daemon=True).start()
        self._json(201, made)

    def _patch(self, plural: str, name: str, body: Any) -> None:
        found = self.api.get(plural, name)
        if found is None:
            self._refuse(404, "not found", "NotFound")
        elif body["metadata"].get("uid", found["metadata"]["uid"]) != found["metadata"]["uid"]:
            self._refuse(409, "the UID in the precondition does not match", "Conflict")
        else:
            self._json(200, self.api.put(plural, _merged(found, body)))

    def _delete(self, plural: str, name: str, body: Any) -> None:
        found = self.api.get(plural, name)
        if found is None:
            self._refuse(404, "not found", "NotFound")
            return
        if (body or {}).get("preconditions", {}).get("uid", found["metadata"]["uid"]) != found["metadata"]["uid"]:
            self._refuse(409, "Precondition failed: UID in precondition", "Conflict")
            return
        found["metadata"]["deletionTimestamp"] = timestamp_of(self.api.clock.now())
        self.api.put(plural, found)
        if self.api.stuck and body["propagationPolicy"] == "Foreground":
            found["metadata"]["finalizers"] = ["foregroundDeletion"]
            self.api.put(plural, found)
        else:
            self._collect(plural, name)
        self._json(200, found)

    def _collect(self, plural: str, name: str) -> None:
        for pod in self.api.all("pods"):
            if pod["metadata"].get("labels", {}).get("tutelage.dev/job") == name:
                self.api.drop("pods", pod["metadata"]["name"])
        self.api.drop(plural, name)

    def _list(self, plural: str, query: dict[str, str]) -> None:
        with self.api.changed:
            items = [thing for thing in self.api.all(plural) if _matches(thing, query)]
            self._json(200, {"items": items, "metadata": {"resourceVersion": str(self.api.version)}})

    def _watch(self, plural: str, query: dict[str, str]) -> None:
        api, seen, epoch = self.api, int(query["resourceVersion"]), self.api.epoch
        until = time.monotonic() + min(float(query["timeoutSeconds"]) / SPEED, 60)
        self._begin()
        if seen < api.oldest:
            gone = {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old resource version"}
            self._chunk(json.dumps({"type": "ERROR", "object": gone}).encode() + b"\n")
            self._finish()
            return
        while api.epoch == epoch and time.monotonic() < until:
            with api.changed:
                new = [one for one in api.history if one[0] > seen and one[1] == plural and _matches(one[3], query)]
                seen = max([seen, *(one[0] for one in new)])
                if not new:
                    api.changed.wait(0.05)
            for _, _, kind, thing in new:
                self._chunk(json.dumps({"type": kind, "object": thing}).encode() + b"\n")
        self._finish() if api.epoch == epoch else self._break()

    def _log(self, pod: str, query: dict[str, str]) -> None:
        api, epoch = self.api, self.api.epoch
        if api.get("pods", pod) is None:
            self._refuse(404, f'pods "{pod}" not found', "NotFound")
            return
        since = seconds_of(query.get("sinceTime")) or 0.0
        lines = [line for line in api.logs.get(pod, []) if line[0] >= since]
        self._begin()
        if "tailLines" in query:
            lines = lines[-int(query["tailLines"]) :]
        sent = 0
        while True:
            for stamp, text in lines[sent:]:
                before = f"{_nano(stamp)} " if query.get("timestamps") else ""
                self._chunk(f"{before}{text}\n".encode())
            sent = len(lines)
            now = api.get("pods", pod)
            if "follow" not in query or now is None or now["status"]["phase"] in ("Succeeded", "Failed"):
                lines = [line for line in api.logs.get(pod, []) if line[0] >= since]
                if "tailLines" in query or len(lines) == sent:
                    self._finish()
                    return
                continue
            if api.epoch != epoch:
                self._break()
                return
            with api.changed:
                api.changed.wait(0.02)
                lines = [line for line in api.logs.get(pod, []) if line[0] >= since]

    def _begin(self) -> None:
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.wfile.flush()

    def _chunk(self, data: bytes) -> None:
        self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
        self.wfile.flush()

    def _finish(self) -> None:
        self.wfile.write(b"0\r\n\r\n")

    def _break(self) -> None:
        """Break the connection in the middle of a response."""
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)

    def _refuse(self, code: int, message: str, reason: str = "") -> None:
        self._json(code, {"kind": "Status", "code": code, "message": message, "reason": reason})

    def _json(self, code: int, value: Any) -> None:
        self._send(code, json.dumps(value).encode())

    def _send(self, code: int, data: bytes) -> None:
        self.send_response(code)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


def _matches(thing: Object, query: dict[str, str]) -> bool:
    wanted = dict(part.split("=") for part in query.get("labelSelector", "").split(",") if part)
    labels = thing["metadata"].get("labels", {})
    field, _, value = query.get("fieldSelector", "").partition("=")
    found = {"": "", "metadata.name": thing["metadata"]["name"], "type": thing.get("type")}[field]
    return found == value and all(labels.get(name) == wants for name, wants in wanted.items())


def _merged(thing: Any, patch: Any) -> Any:
    if not isinstance(patch, dict) or not isinstance(thing, dict):
        return patch
    merged = {**thing, **{name: _merged(thing.get(name), value) for name, value in patch.items()}}
    return {name: value for name, value in merged.items() if value is not None}


def _nano(seconds: float) -> str:
    """As the kubelet writes it."""
    return f"{timestamp_of(seconds)[:-1]}.{int(seconds % 1 * 1e9):09d}Z"
