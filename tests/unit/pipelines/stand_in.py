"""A stand-in for the API server of Kubeflow Pipelines, over loopback HTTP, as far as the command line uses it.

The client that talks to it is the real one. It answers as KFP 2.17.0 was observed to:

- A failed task or run carries no error: `task_details[].error` and `run.error` are absent, whatever went wrong.
- A run that was started in the UI or by a schedule (`by_reference`) has a `pipeline_version_reference` and no
  `pipeline_spec`; the spec comes from the version.
- A cancelled run is CANCELING, then FAILED like any other, never CANCELED: `state_history` alone tells them apart.

It differs from the real one:

- One experiment, and at most one run, whose state advances with each request rather than with time.
- Nothing runs: a test says which tasks there are and in which states. The real one also lists `root`, each `-driver`,
  `executor` and group, with ids of pods and child tasks; here they are listed where a test adds them.
- Every login has all rights, unless the test names a token or a cookie.
- No pagination, no artifacts, no metadata store, no logs.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

from tests.serve import serving

Answer = tuple[int, Any]


@dataclass
class Request:
    method: str
    path: str
    body: Any
    headers: dict[str, str]


@contextmanager
def served(answer: Callable[[Request], Answer]) -> Iterator[str]:
    """A server whose responses come from the function; text is sent as a page, everything else as JSON."""

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            """Log nothing."""

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
    with serving(server):
        yield f"http://127.0.0.1:{server.server_address[1]}"


@dataclass
class Kubeflow:
    """Kubeflow Pipelines with one experiment and at most one run, whose state advances with each request.

    `by_reference`: the run is answered as one that was started in the UI or by a schedule.
    """

    several_users: bool = False
    token: str = ""
    cookie: str = ""
    status: int = 0
    page: bool = False
    states: list[str] = field(default_factory=lambda: ["SUCCEEDED"])
    tasks: dict[str, str] = field(default_factory=dict)
    by_reference: bool = False
    run: dict[str, Any] | None = None
    experiment: dict[str, Any] = field(default_factory=dict)
    terminated: bool = False
    history: list[str] = field(default_factory=list)
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
        if what.startswith("experiments"):
            return self._answer_of_experiment(request, what)
        if what == "runs" and request.method == "POST":
            self.run = {**request.body, "run_id": "run-1"}
            return 200, self.run
        return self._answer_of_run(what) if self.run else (404, {"error": f"no {what}"})

    def _answer_of_experiment(self, request: Request, what: str) -> Answer:
        if request.method == "POST":
            if request.body.get("namespace") and not self.several_users:
                return 400, {"error": "no namespace in single-user mode"}
            self.experiment = {**request.body, "experiment_id": "e1", "display_name": "tutelage"}
        return 200, self.experiment if request.method == "POST" or what == "experiments/e1" else {}

    def _answer_of_run(self, what: str) -> Answer:
        assert self.run is not None
        if what == "runs/run-1:terminate":
            self.terminated, self.states = True, ["CANCELING", "FAILED"]
            return 200, {}
        if what == "runs/run-1":
            return 200, self._run_now()
        if what == "pipelines/pipeline-1/versions/version-1":
            return 200, {**VERSION, "display_name": "1", "pipeline_spec": self.run["pipeline_spec"]}
        return 404, {"error": f"no {what}"}

    def _run_now(self) -> dict[str, Any]:
        state = self.states.pop(0) if len(self.states) > 1 else self.states[0]
        self.history += [state] if state not in self.history[-1:] else []
        run = {**(self.run or {})}
        if self.by_reference:
            del run["pipeline_spec"]
            run["pipeline_version_reference"] = VERSION
        details = [_detail(name, state) for name, state in self.tasks.items()]
        return {
            **run,
            "state": state,
            "state_history": _statuses(self.history),
            "run_details": {"task_details": details},
        }


VERSION = {"pipeline_id": "pipeline-1", "pipeline_version_id": "version-1"}
BEGIN, END = "2026-01-01T00:00:00Z", "2026-01-01T00:00:07Z"


def _detail(name: str, state: str) -> dict[str, Any]:
    return {
        "run_id": "run-1",
        "task_id": f"task-{name}",
        "display_name": name,
        "create_time": BEGIN,
        "start_time": BEGIN,
        "end_time": END,
        "state": state,
        "state_history": _statuses([state]),
    }


def _statuses(states: list[str]) -> list[dict[str, Any]]:
    return [{"update_time": BEGIN, "state": state} for state in states]
