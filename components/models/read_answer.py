"""What a response of an OpenAI-compatible endpoint means for its request and for the endpoint."""

import email.utils
import time
from collections.abc import Mapping
from dataclasses import dataclass

from components.models.endpoint import Outcome, Verdict
from components.models.read_completion import Body, detail_of, read_completion
from components.shared.errors import TeacherError

LONGEST_PAUSE_SECONDS = 3600.0
BUSY = frozenset({429, 503, 529})
SLOW = frozenset({408, 504, 524})
# Conflict, TGI's "generation failed", too early: nothing is wrong with the request.
PASSING = frozenset({409, 424, 425})
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
    if 200 <= response.status < 300:
        body = Body(response.url, response.headers.get("Content-Type", ""), response.data)
        return read_completion(key, body, lambda status: _by_status(response, status, api_key_variable))
    return _by_status(response, response.status, api_key_variable)


def _by_status(response: Response, status: int, api_key_variable: str) -> Outcome:
    url = response.url
    reason = f"{url} answers {status}"
    if status in {401, 403}:
        # Without the body: some servers repeat the key in it.
        return Outcome(Verdict.FATAL, reason=reason, error=refused_key(url, status, api_key_variable))
    if status == 407:
        return Outcome(Verdict.FATAL, reason=reason, error=_proxy_login(reason))
    reason += detail_of(response.data)
    if status in UNKNOWN_ADDRESS:
        return Outcome(Verdict.FATAL, reason=reason, error=_wrong_address(reason))
    if status in BUSY:
        return Outcome(Verdict.BUSY, reason=reason, retry_after=pause_seconds(response.headers))
    retried = Verdict.SLOW if status in SLOW else Verdict.BROKEN
    return Outcome(retried if status in SLOW | PASSING or status >= 500 else Verdict.REFUSED, reason=reason)


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


def _wrong_address(reason: str) -> TeacherError:
    return TeacherError(
        reason,
        rule="an endpoint is the base URL of an OpenAI-compatible API that serves the model",
        remedy="check the model's name, and that the URL is whole (http://HOST:8000/v1 for vLLM)",
    )


def _proxy_login(reason: str) -> TeacherError:
    return TeacherError(
        f"{reason}: its proxy asks for a login",
        remedy="give user and password in HTTPS_PROXY or HTTP_PROXY (http://USER:PASSWORD@HOST:PORT)",
    )
