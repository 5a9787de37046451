"""What a response of an OpenAI-compatible endpoint means for its request and for the endpoint."""

import email.utils
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from components.models.endpoint import Outcome, Verdict
from components.models.teacher import Reply
from components.shared.errors import TeacherError

LONGEST_PAUSE_SECONDS = 3600.0
SHOWN_CHARACTERS = 200
BUSY = frozenset({429, 503})
SLOW = frozenset({408, 504, 524})
UNKNOWN_ADDRESS = frozenset({301, 302, 307, 308, 404, 405})


@dataclass(frozen=True)
class Response:
    """An endpoint's response to one request: HTTP status, headers (case-insensitive) and body."""

    url: str
    status: int
    headers: Mapping[str, str]
    data: bytes


def read_answer(key: str, response: Response, api_key_variable: str) -> Outcome:
    """The outcome of one try of the request `key`; the key's variable is for messages (empty if none is sent)."""
    url, status = response.url, response.status
    if status == 200:
        return _completion(key, url, response.data)
    reason = f"{url} answers {status}"
    if status in {401, 403}:
        # Without the body: some servers repeat the key in it.
        return Outcome(Verdict.FATAL, reason=reason, error=refused_key(url, status, api_key_variable))
    reason += _detail(response.data)
    if status in UNKNOWN_ADDRESS:
        return Outcome(Verdict.FATAL, reason=reason, error=_wrong_address(reason))
    if status in BUSY:
        return Outcome(Verdict.BUSY, reason=reason, retry_after=pause_seconds(response.headers))
    retried = Verdict.SLOW if status in SLOW else Verdict.BROKEN
    return Outcome(retried if status in SLOW or status >= 500 else Verdict.REFUSED, reason=reason)


def pause_seconds(headers: Mapping[str, str]) -> float:
    """Retry-After in seconds, from seconds or an HTTP date (RFC 9110, 10.2.3); 0 where there is none."""
    value = headers.get("Retry-After", "").strip()
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = email.utils.parsedate_to_datetime(value).timestamp() - time.time()
        except ValueError:
            return 0.0
    return min(max(seconds, 0.0), LONGEST_PAUSE_SECONDS)


def refused_key(url: str, status: int, variable: str) -> TeacherError:
    """The error of a key that the endpoint does not take."""
    how = f"the key in the environment variable {variable}" if variable else "requests without an API key"
    remedy = f"set {variable} to a valid key" if variable else "name the key's environment variable in api_key_variable"
    return TeacherError(f"{url} answers {status}: it refuses {how}", remedy=remedy)


def _completion(key: str, url: str, data: bytes) -> Outcome:
    try:
        body = json.loads(data)
        choice = body["choices"][0]
        message, reason, usage = choice["message"], choice.get("finish_reason"), body.get("usage") or {}
        reply = Reply(
            key=key,
            text=message.get("content") or "",
            tokens_in=usage.get("prompt_tokens") or 0,
            tokens_out=usage.get("completion_tokens") or 0,
            finish="length" if reason == "length" else "stop",
        )
    except (ValueError, KeyError, IndexError, TypeError, AttributeError):
        return Outcome(Verdict.BROKEN, reason=f"{url} answers with something that is no chat completion{_detail(data)}")
    if reason == "content_filter":
        return Outcome(Verdict.REFUSED, reason=f"{url} withheld the answer (content_filter)")
    return Outcome(Verdict.ANSWERED, reply=reply)


def _wrong_address(reason: str) -> TeacherError:
    return TeacherError(
        reason,
        rule="an endpoint is the base URL of an OpenAI-compatible API that serves the model",
        remedy="check the model's name, and that the URL is whole (http://HOST:8000/v1 for vLLM)",
    )


def _detail(data: bytes) -> str:
    """The message of an error's body, cut to a readable length."""
    try:
        body: Any = json.loads(data)
    except ValueError:
        body = data.decode(errors="replace")
    if isinstance(body, dict):
        error = body.get("error", body)
        body = (error.get("message") or error) if isinstance(error, dict) else error
    text = " ".join(str(body).split())[:SHOWN_CHARACTERS]
    return f": {text}" if text else ""
