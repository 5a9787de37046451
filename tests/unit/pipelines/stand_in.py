"""Stand-ins over loopback HTTP: Kubeflow Pipelines' API server, and the API server of a Kubernetes.

The clients that talk to them are the real ones; what answers is not.
"""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

Answer = tuple[int, Any]


@dataclass
class Request:
    method: str
    path: str
    body: Any
    headers: dict[str, str]


@contextmanager
def served(answer: Callable[[Request], Answer]) -> Iterator[str]:
    """A server whose every answer the function gives; text is sent as a page, everything else as JSON."""

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            """Silent."""

        def do_GET(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length)) if length else None
            headers = {name.lower(): value for name, value in self.headers.items()}
            status, found = answer(Request(self.command, urlsplit(self.path).path, body, headers))
            page = isinstance(found, str)
            data = found.encode() if page else json.dumps(found).encode()
            self.send_response(status)
            self.send_header("Content-Type", "text/html" if page else "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_POST = do_DELETE = do_PATCH = do_GET  # noqa: N815

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


@dataclass
class Kubeflow:
    """Kubeflow Pipelines with one experiment and at most one run, which goes from state to state as it is asked for."""

    several_users: bool = False
    token: str = ""
    cookie: str = ""
    status: int = 0
    page: bool = False
    states: list[str] = field(default_factory=lambda: ["SUCCEEDED"])
    tasks: dict[str, str] = field(default_factory=dict)
    error: str = ""
    run: dict[str, Any] | None = None
    terminated: bool = False
    requests: list[Request] = field(default_factory=list)

    def __call__(self, request: Request) -> Answer:
        self.requests.append(request)
        if self.page:
            return 200, "<html>Log in</html>"
        if self.status:
            return self.status, {"error": "for a test"}
        if self.token and request.headers.get("authorization") != f"Bearer {self.token}":
            return 401, {"error": "unauthenticated"}
        if self.cookie and request.headers.get("cookie") != self.cookie:
            return 401, {"error": "unauthenticated"}
        return self._answer(request, request.path.removeprefix("/apis/v2beta1/"))

    def _answer(self, request: Request, what: str) -> Answer:
        if what == "healthz":
            return 200, {"multi_user": True} if self.several_users else {}
        if what == "experiments":
            experiment = {"experiment_id": "e1", "display_name": "tutelage"}
            return 200, experiment if request.method == "POST" else {}
        if what == "runs" and request.method == "POST":
            self.run = {**request.body, "run_id": "run-1"}
            return 200, self.run
        if self.run and what == "runs/run-1:terminate":
            self.terminated = True
            return 200, {}
        if self.run and what == "runs/run-1":
            return 200, self._run_now()
        return 404, {"error": f"no {what}"}

    def _run_now(self) -> dict[str, Any]:
        state = self.states.pop(0) if len(self.states) > 1 else self.states[0]
        begin, end = "2026-01-01T00:00:00Z", "2026-01-01T00:00:07Z"
        details = [
            {
                "display_name": name,
                "state": state,
                "start_time": begin,
                "end_time": end,
                "error": {"message": self.error},
            }
            for name, state in self.tasks.items()
        ]
        return {**(self.run or {}), "state": state, "run_details": {"task_details": details}}
