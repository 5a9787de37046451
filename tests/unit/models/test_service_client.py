"""A service that the product does not know, a server that scores texts, is asked through the client of all services."""

import json
import socket
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from pydantic import BaseModel

from components.models.service import client
from components.models.service.client import ServiceClient
from components.models.service.endpoint import TryOutcome, TryStatus
from components.models.service.service import HttpResponse, Service, ServiceRequest
from components.models.service.settings import ServiceSettings
from components.shared.errors import ServiceError, SettingsError
from tests.serve import serving

ROOT = Path(__file__).parents[3]


class Score(BaseModel):
    key: str
    score: float | None
    reason: str = ""


class Scores(Service[Score]):
    """The length of a text, as its score."""

    name = "scores"
    path = "/score"
    probe_path = "/health"
    api = "a server that scores texts"

    def read(
        self, key: str, response: HttpResponse, by_status: Callable[[int], TryOutcome[Score]]
    ) -> TryOutcome[Score]:
        return TryOutcome(TryStatus.ANSWERED, answer=Score(key=key, score=json.loads(response.data)["score"]))

    def failed(self, key: str, reason: str, partial: Score | None) -> Score:
        return Score(key=key, score=None, reason=reason)


class Server(ThreadingHTTPServer):
    """`statuses` are the first responses' statuses, with 503 asking for a second's pause; then all are answered."""

    daemon_threads = True

    def __init__(self, key: str = "") -> None:
        self.key, self.statuses, self.asked = key, list[int](), list[tuple[float, str]]()
        super().__init__(("127.0.0.1", 0), Scoring)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Scoring(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self._send(200 if self._is_allowed() else 401, {})

    def do_POST(self) -> None:
        text = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["text"]
        self.server.asked.append((time.monotonic(), text))
        status = self.server.statuses.pop(0) if self.server.statuses else 200
        self._send(400 if text == "too long" else status, {"score": len(text)})

    def _is_allowed(self) -> bool:
        return not self.server.key or self.headers.get("Authorization") == f"Bearer {self.server.key}"

    def _send(self, status: int, body: dict[str, int]) -> None:
        data = json.dumps(body if status == 200 else {"error": {"message": f"status {status}"}}).encode()
        self.send_response(status)
        if status == 503:
            self.send_header("Retry-After", "1")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Log nothing."""


@pytest.fixture
def server() -> Iterator[Server]:
    with serving(Server()) as server:
        yield server


def dead_url() -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}"


def scores(texts: list[str], *urls: str, **changes: object) -> dict[str, Score]:
    quick = {"window": 4, "attempts": 3, "backoff_seconds": 0.01, "timeout_seconds": 5.0}
    settings = ServiceSettings.model_validate({"endpoints": urls, **quick, **changes})
    opened = ServiceClient.open(settings, Scores())
    try:
        requests = [ServiceRequest(text, json.dumps({"text": text}).encode()) for text in texts]
        return {score.key: score for answers in opened.ask(requests) for score in answers}
    finally:
        opened.close()


def test_a_busy_server_is_asked_again_after_the_pause_that_it_names(server: Server) -> None:
    server.statuses = [503, 500]
    found = scores(["a", "bb", "ccc"], server.url, window=1)
    assert {key: score.score for key, score in found.items()} == {"a": 1, "bb": 2, "ccc": 3}
    assert len(server.asked) == 5
    assert server.asked[1][0] - server.asked[0][0] >= 0.9


def test_a_dead_endpoint_leaves_its_work_to_the_other(server: Server) -> None:
    texts = [f"text {number}" for number in range(40)]
    assert all(score.score for score in scores(texts, dead_url(), server.url).values())
    assert sorted(text for _, text in server.asked) == sorted(texts)


def test_a_request_that_is_refused_fails_alone(server: Server) -> None:
    found = scores(["a", "too long"], server.url)
    assert found["a"].score == 1
    assert (found["too long"].score, found["too long"].reason.endswith("400: status 400")) == (None, True)


def test_a_service_that_is_down_is_an_error_that_names_the_url() -> None:
    url = dead_url()
    with pytest.raises(ServiceError, match=url) as caught:
        scores(["a"], url, attempts=2)
    assert caught.value.temporary
    assert "http://HOST:PORT" in caught.value.remedy


def test_a_refused_key_names_its_variable_and_not_the_key(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    server.key = "right-key"
    monkeypatch.setenv("SCORES_KEY", "right-key")
    assert scores(["a"], server.url, api_key_variable="SCORES_KEY")["a"].score == 1
    monkeypatch.setenv("SCORES_KEY", "wrong-key")
    with pytest.raises(ServiceError, match="SCORES_KEY") as caught:
        scores(["a"], server.url, api_key_variable="SCORES_KEY")
    assert "wrong-key" not in str(caught.value)


def test_endpoints_that_are_not_base_urls_are_refused_with_the_forms_that_are() -> None:
    for urls in ((), ("host:8000",)):
        with pytest.raises(SettingsError) as caught:
            scores(["a"], *urls)
        assert caught.value.allowed == ("http://HOST:PORT", "https://HOST")


def test_the_client_of_services_does_not_import_generators() -> None:
    folder = ROOT / "components" / "models" / "service"
    assert folder == Path(client.__file__).parent
    assert not [path.name for path in folder.glob("*.py") if "components.models.generators" in path.read_text()]
