"""The doctor asks the models that a recipe's steps will ask, as they will ask them, and no others."""

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from components.shared.finding import Finding
from pipelines.doctor.machine import examine, looks_at
from pipelines.pipeline import Recipe
from pipelines.recipe.read_recipe import read_recipe
from pipelines.registry import recipe_from
from tests.serve import serving

DEMO = Path(__file__).parents[3] / "pipelines" / "recipes" / "demo.yaml"
REMOTE = {"backend": "openai", "model": "remote"}


class Server(ThreadingHTTPServer):
    """An endpoint whose model gives a fixed reply, and which records requests."""

    daemon_threads = True

    def __init__(self) -> None:
        self.message: dict[str, Any] = {"content": "ready"}
        self.reason = "stop"
        self.bodies: list[dict[str, Any]] = []
        super().__init__(("127.0.0.1", 0), Answering)

    @property
    def settings(self) -> dict[str, Any]:
        return {**REMOTE, "endpoints": [f"http://127.0.0.1:{self.server_port}/v1"]}


class Answering(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self._send({"data": []})

    def do_POST(self) -> None:
        self.server.bodies.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self._send({"choices": [{"message": self.server.message, "finish_reason": self.server.reason}]})

    def _send(self, body: dict[str, Any]) -> None:
        data = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Log nothing."""


@pytest.fixture
def server() -> Iterator[Server]:
    with serving(Server()) as server:
        yield server


def recipe(tmp_path: Path, **steps: dict[str, Any]) -> Recipe:
    """The demo's recipe with some settings of its steps changed."""
    plain = read_recipe(DEMO).model_dump(mode="json", exclude_unset=True)
    plain["store"] = str(tmp_path / "store")
    for step, changed in steps.items():
        plain[step] = {**plain[step], **changed}
    return recipe_from(plain)


def places(recipe: Recipe) -> list[str]:
    return [look.what for look in looks_at(recipe)]


def finding(recipe: Recipe, what: str) -> Finding:
    return next(found for found in examine(recipe) if found.what == what)


def test_a_teacher_that_no_step_uses_is_not_asked(tmp_path: Path) -> None:
    unused = {**REMOTE, "endpoints": ["http://127.0.0.1:9/v1"]}
    rules = recipe(tmp_path, curate={"teacher": unused, "labeller": "rules"})
    assert "curate.teacher" not in places(rules)
    asked = recipe(tmp_path, curate={"teacher": unused, "labeller": "teacher"})
    assert "curate.teacher" in places(asked)
    no_student = recipe(tmp_path, synthesize={"student": unused, "origins": ["original", "teacher"]})
    assert "synthesize.student" not in places(no_student)


def test_a_judge_is_asked(tmp_path: Path, server: Server) -> None:
    judged = recipe(tmp_path, select={"safety": {"scorer": "judge", "teacher": server.settings}})
    assert finding(judged, "select.safety.teacher").good
    # As the step will ask it.
    assert [body["max_tokens"] for body in server.bodies] == [64]


def test_an_endpoint_that_is_evaluated_is_asked_for_its_longest_answer(tmp_path: Path, server: Server) -> None:
    evaluated = recipe(tmp_path, evaluate={"endpoints": {"teacher": server.settings}})
    assert finding(evaluated, "evaluate.endpoints.teacher").good
    assert [body["max_tokens"] for body in server.bodies] == [40]


def test_a_limit_that_leaves_no_room_for_an_answer_is_a_fault(tmp_path: Path, server: Server) -> None:
    server.message, server.reason = {"content": None, "reasoning_content": "The user wants"}, "length"
    labels = recipe(tmp_path, curate={"teacher": server.settings, "label_sampling": {"max_tokens": 32}})
    found = finding(labels, "curate.teacher")
    assert (found.good, server.bodies[0]["max_tokens"]) == (False, 32)
    assert "only reasoning, truncated by max_tokens" in found.text
    assert "enable_thinking: false" in found.text


def test_a_teacher_that_thinks_within_its_limit_passes(tmp_path: Path, server: Server) -> None:
    server.message, server.reason = {"content": None, "reasoning_content": "The user wants"}, "length"
    long = {"teacher": server.settings, "teacher_sampling": {"max_tokens": 4096}}
    found = finding(recipe(tmp_path, synthesize=long), "synthesize.teacher")
    assert found.good
    assert "thinks before it answers" in found.text


def test_a_teacher_that_calls_a_tool_is_a_fault(tmp_path: Path, server: Server) -> None:
    server.message = {"content": None, "tool_calls": [{"function": {"name": "f", "arguments": "{}"}}]}
    found = finding(recipe(tmp_path, synthesize={"teacher": server.settings}), "synthesize.teacher")
    assert not found.good
    assert "a tool call instead of text" in found.text
