"""What a response means: answered, refused, busy, slow, broken or fatal."""

import json
import time
from email.utils import formatdate

import pytest

from components.models.generators.generator import Reply
from components.models.generators.openai.generator import ChatCompletions
from components.models.service.endpoint import TryOutcome, TryStatus
from components.models.service.read_status import pause_seconds, read_status
from components.models.service.service import HttpResponse

URL = "http://server/v1"


def outcome(
    status: int, body: object = "", headers: dict[str, str] | None = None, variable: str = ""
) -> TryOutcome[Reply]:
    data = body.encode() if isinstance(body, str) else json.dumps(body).encode()
    service, response = ChatCompletions(), HttpResponse(URL, status, headers or {}, data)

    def by_status(named: int) -> TryOutcome[Reply]:
        return read_status(service, response, named, variable)

    return service.read("key", response, by_status) if status < 300 else by_status(status)


def completion(content: str | None, reason: str = "stop") -> dict[str, object]:
    return {
        "choices": [{"message": {"content": content}, "finish_reason": reason}],
        "usage": {"prompt_tokens": 7, "completion_tokens": 3},
    }


def test_a_completion_becomes_a_reply() -> None:
    reply = outcome(200, completion("你好", "length")).answer
    assert reply is not None
    assert (reply.text, reply.tokens_in, reply.tokens_out, reply.finish) == ("你好", 7, 3, "length")


def test_missing_usage_is_not_a_failure() -> None:
    reply = outcome(200, {"choices": [{"message": {"content": "a"}, "finish_reason": "stop"}]}).answer
    assert reply is not None
    assert (reply.text, reply.tokens_in) == ("a", 0)


def test_missing_content_is_a_failure_that_is_not_retried() -> None:
    tried = outcome(200, completion(None))
    assert (tried.status, tried.answer) == (TryStatus.REFUSED, None)
    assert "no answer: the reply is empty" in tried.reason


@pytest.mark.parametrize("body", ["", "<html>", "[]", '{"choices": []}', '{"choices": [{"message": "x"}]}'])
def test_an_invalid_response_is_retried(body: str) -> None:
    assert outcome(200, body).status is TryStatus.BROKEN


@pytest.mark.parametrize(
    ("status", "meaning"),
    [
        (400, TryStatus.REFUSED),
        (413, TryStatus.REFUSED),
        (422, TryStatus.REFUSED),
        (408, TryStatus.SLOW),
        (429, TryStatus.BUSY),
        (500, TryStatus.BROKEN),
        (502, TryStatus.BROKEN),
        (503, TryStatus.BUSY),
        (504, TryStatus.SLOW),
        (404, TryStatus.FATAL),
        (308, TryStatus.FATAL),
    ],
)
def test_each_status_has_its_meaning(status: int, meaning: TryStatus) -> None:
    assert outcome(status).status is meaning


def test_the_servers_message_is_passed_on_in_brief() -> None:
    reason = outcome(400, {"error": {"message": "too long\n" * 100}}).reason
    assert reason.startswith(f"{URL} answers 400: too long too long")
    assert len(reason) < 300


def test_a_refused_key_names_its_variable_and_not_the_body() -> None:
    error = outcome(401, {"error": "Incorrect API key provided: sk-secret"}, variable="MY_KEY").error
    assert error is not None
    assert "MY_KEY" in str(error)
    assert "sk-secret" not in str(error)


def test_withheld_content_is_refused() -> None:
    assert outcome(200, completion("", "content_filter")).status is TryStatus.REFUSED


def test_retry_after_in_seconds_or_as_a_date() -> None:
    assert pause_seconds({"Retry-After": "2.5"}) == 2.5
    assert pause_seconds({"Retry-After": formatdate(time.time() + 30, usegmt=True)}) == pytest.approx(30, abs=2)
    assert pause_seconds({"Retry-After": formatdate(time.time() - 30, usegmt=True)}) == 0
    assert pause_seconds({"Retry-After": "soon"}) == 0
    assert pause_seconds({}) == 0
    assert pause_seconds({"Retry-After": "1e9"}) == 3600
