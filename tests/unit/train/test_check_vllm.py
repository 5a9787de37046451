"""A server that is to draw rollouts is looked at before the model is loaded."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

import pytest

from components.shared.errors import ServiceError, SettingsError
from components.train.methods.registry import method_of, parse_train_settings
from components.train.rollouts.check_vllm import require_server
from components.train.rollouts.settings import VllmRollouts

READY = {
    "weight_transfer_config": {"backend": "nccl"},
    "model_config": {"logprobs_mode": "processed_logprobs", "max_model_len": 64},
}
"""What of a server's VllmConfig is read, as vLLM 0.30 writes it."""


class VllmServer(BaseHTTPRequestHandler):
    """Answers as `vllm serve` does; `configuration` None: without VLLM_SERVER_DEV_MODE."""

    configuration: ClassVar[dict[str, Any] | None]
    refused: ClassVar[int]

    def do_GET(self) -> None:
        found = self.configuration
        if type(self).refused:
            type(self).refused -= 1
            self._answer(503, {})
        elif self.path == "/health":
            self._answer(200, {})
        elif self.path == "/server_info?config_format=json" and found is not None:
            self._answer(200, {"vllm_config": found, "vllm_env": {}})
        else:
            self._answer(404, {"detail": "Not Found"})

    def _answer(self, status: int, content: dict[str, Any]) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Nothing."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[VllmRollouts]:
    """A server that is ready, and the settings that name it."""
    monkeypatch.setattr(VllmServer, "configuration", READY, raising=False)
    monkeypatch.setattr(VllmServer, "refused", 0, raising=False)
    with ThreadingHTTPServer(("127.0.0.1", 0), VllmServer) as listening:
        thread = threading.Thread(target=listening.serve_forever, daemon=True)
        thread.start()
        yield VllmRollouts(mode="server", server_url=f"http://127.0.0.1:{listening.server_address[1]}")
        listening.shutdown()
        thread.join(timeout=60)


def test_a_server_that_takes_weights_and_returns_the_right_log_probs_passes(server: VllmRollouts) -> None:
    require_server(server, 64, wait_seconds=0.0)
    settings = parse_train_settings(
        {"method": "grpo", "max_length": 64, "grpo": {"max_response": 8, "vllm": server.model_dump()}}
    )
    (look,) = method_of(settings).looks(settings, "train.rl")
    assert (look.name, look.look()) == (server.server_url, "takes weights and draws rollouts")


@pytest.mark.parametrize(
    ("configuration", "said"),
    [
        (None, "has no endpoints that take weights (VLLM_SERVER_DEV_MODE)"),
        ({**READY, "weight_transfer_config": None}, "takes no weights (--weight-transfer-config)"),
        (
            {**READY, "model_config": {"logprobs_mode": "raw_logprobs", "max_model_len": 32}},
            "returns raw_logprobs (--logprobs-mode) and has a context of 32 tokens, fewer than max_length 64",
        ),
    ],
)
def test_a_server_that_cannot_is_refused_with_the_command_that_starts_it(
    server: VllmRollouts, configuration: Any, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(VllmServer, "configuration", configuration)
    with pytest.raises(SettingsError) as refused:
        require_server(server, 64, wait_seconds=0.0)
    assert f"{server.server_url} {said}" in refused.value.problem
    assert "VLLM_SERVER_DEV_MODE=1 vllm serve MODEL --max-model-len 64" in refused.value.remedy


def test_a_server_that_still_loads_is_waited_for(server: VllmRollouts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(VllmServer, "refused", 2)
    monkeypatch.setattr("components.train.rollouts.check_vllm.RETRY_SECONDS", 0.05)
    require_server(server, 64, wait_seconds=60.0)
    assert VllmServer.refused == 0


def test_a_server_that_does_not_answer_is_named() -> None:
    with pytest.raises(ServiceError, match=r"server_url http://127\.0\.0\.1:9 does not answer") as refused:
        require_server(VllmRollouts(mode="server", server_url="http://127.0.0.1:9"), 64, wait_seconds=0.0)
    assert refused.value.temporary
