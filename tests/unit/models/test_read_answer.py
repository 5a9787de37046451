"""What a response means: answered, refused, busy, slow, broken or fatal."""

import json
import time
from email.utils import formatdate

import pytest

from components.models.endpoint import Outcome, Verdict
from components.models.read_answer import Response, pause_seconds, read_answer

URL = "http://server/v1"


def outcome(status: int, body: object = "", headers: dict[str, str] | None = None, variable: str = "") -> Outcome:
    data = body.encode() if isinstance(body, str) else json.dumps(body).encode()
    return read_answer("key", Response(URL, status, headers or {}, data), variable)


def completion(content: str | None, reason: str = "stop") -> dict[str, object]:
    return {
        "choices": [{"message": {"content": content}, "finish_reason": reason}],
        "usage": {"prompt_tokens": 7, "completion_tokens": 3},
    }


def test_a_completion_becomes_a_reply() -> None:
    reply = outcome(200, completion("你好", "length")).reply
    assert reply is not None
    assert (reply.text, reply.tokens_in, reply.tokens_out, reply.finish) == ("你好", 7, 3, "length")


def test_missing_usage_is_no_failure() -> None:
    reply = outcome(200, {"choices": [{"message": {"content": "a"}, "finish_reason": "stop"}]}).reply
    assert reply is not None
    assert (reply.text, reply.tokens_in) == ("a", 0)


def test_missing_content_is_a_failure_that_another_try_would_not_mend() -> None:
    tried = outcome(200, completion(None))
    assert (tried.verdict, tried.reply) == (Verdict.REFUSED, None)
    assert "no answer: the reply is empty" in tried.reason


@pytest.mark.parametrize("body", ["", "<html>", "[]", '{"choices": []}', '{"choices": [{"message": "x"}]}'])
def test_an_answer_that_is_none_is_tried_again(body: str) -> None:
    assert outcome(200, body).verdict is Verdict.BROKEN


@pytest.mark.parametrize(
    ("status", "verdict"),
    [
        (400, Verdict.REFUSED),
        (413, Verdict.REFUSED),
        (422, Verdict.REFUSED),
        (408, Verdict.SLOW),
        (429, Verdict.BUSY),
        (500, Verdict.BROKEN),
        (502, Verdict.BROKEN),
        (503, Verdict.BUSY),
        (504, Verdict.SLOW),
        (404, Verdict.FATAL),
        (308, Verdict.FATAL),
    ],
)
def test_each_status_has_its_meaning(status: int, verdict: Verdict) -> None:
    assert outcome(status).verdict is verdict


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
    assert outcome(200, completion("", "content_filter")).verdict is Verdict.REFUSED


def test_retry_after_in_seconds_or_as_a_date() -> None:
    assert pause_seconds({"Retry-After": "2.5"}) == 2.5
    assert pause_seconds({"Retry-After": formatdate(time.time() + 30, usegmt=True)}) == pytest.approx(30, abs=2)
    assert pause_seconds({"Retry-After": formatdate(time.time() - 30, usegmt=True)}) == 0
    assert pause_seconds({"Retry-After": "soon"}) == 0
    assert pause_seconds({}) == 0
    assert pause_seconds({"Retry-After": "1e9"}) == 3600
