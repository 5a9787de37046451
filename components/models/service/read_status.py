"""What an HTTP error status means for its request and for the endpoint."""

import email.utils
import json
import time
from collections.abc import Mapping
from typing import Any

from components.models.service.endpoint import Answer, TryOutcome, TryStatus
from components.models.service.service import HttpResponse, Service
from components.shared.errors import TutelageError
from components.shared.storable import storable

SHOWN_CHARACTERS = 200
LONGEST_PAUSE_SECONDS = 3600.0
BUSY = frozenset({429, 503, 529})
SLOW = frozenset({408, 504, 524})
# Conflict, TGI's "generation failed", too early: nothing is wrong with the request.
PASSING = frozenset({409, 424, 425})
WRONG_URL = frozenset({301, 302, 307, 308, 404, 405})


def read_status(
    service: Service[Answer], response: HttpResponse, status: int, api_key_variable: str
) -> TryOutcome[Answer]:
    """The outcome of an attempt that ended with an error status.

    Args:
        service: what was asked.
        response: what the endpoint sent.
        status: the error's status; a service may state it in a body that came with status 200.
        api_key_variable: the key's variable, for messages; empty where no key is sent.
    """
    reason = f"{response.url} answers {status}"
    if status in {401, 403}:
        # Without the body: some servers repeat the key in it.
        error = key_refused(service, response.url, status, api_key_variable)
        return TryOutcome(TryStatus.FATAL, reason=reason, error=error)
    if status == 407:
        return TryOutcome(TryStatus.FATAL, reason=reason, error=_proxy_login(service, reason))
    reason += detail_of(response.data)
    if status in WRONG_URL:
        return TryOutcome(TryStatus.FATAL, reason=reason, error=_wrong_url(service, reason))
    if status in BUSY:
        return TryOutcome(TryStatus.BUSY, reason=reason, retry_after=pause_seconds(response.headers))
    return TryOutcome(_status_of(status), reason=reason)


def _status_of(status: int) -> TryStatus:
    if status in SLOW:
        return TryStatus.SLOW
    return TryStatus.BROKEN if status in PASSING or status >= 500 else TryStatus.REFUSED


def pause_seconds(headers: Mapping[str, str]) -> float:
    """Retry-After in seconds, from seconds or an HTTP date (RFC 9110, section 10.2.3); 0 where it is absent."""
    value = headers.get("Retry-After", "").strip()
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = email.utils.parsedate_to_datetime(value).timestamp() - time.time()
        except ValueError:
            return 0.0
    return min(max(seconds, 0.0), LONGEST_PAUSE_SECONDS)


def key_refused(service: Service[Any], url: str, status: int, variable: str) -> TutelageError:
    """The error for a key that the endpoint does not accept."""
    how = f"the key in the environment variable {variable}" if variable else "requests without an API key"
    remedy = f"set {variable} to a valid key" if variable else "name the key's environment variable in api_key_variable"
    return service.error(f"{url} answers {status}: it refuses {how}", remedy=remedy)


def _wrong_url(service: Service[Any], reason: str) -> TutelageError:
    return service.error(
        reason,
        rule=f"an endpoint is the base URL of {service.api}",
        allowed=service.base_urls,
        remedy="check the model's name, and that the URL is complete",
    )


def _proxy_login(service: Service[Any], reason: str) -> TutelageError:
    return service.error(
        f"{reason}: its proxy requires a login",
        remedy="set user and password in HTTPS_PROXY or HTTP_PROXY (http://USER:PASSWORD@HOST:PORT)",
    )


def parse_body(data: bytes) -> Any:
    """A body as JSON; None where it is not JSON. A list's first item: Gemini wraps its errors in a list."""
    try:
        # A byte that isn't UTF-8 becomes a lone surrogate, which is replaced and counted with the others; strings may
        # contain raw tabs and line breaks.
        text = data.decode("utf-8-sig", errors="surrogateescape")
        found = json.loads(text, strict=False)
    except ValueError:
        return None
    return found[0] if isinstance(found, list) and found else found


def detail_of(data: bytes) -> str:
    """The message in an error's body, truncated to a readable length; empty where there is none."""
    body = parse_body(data)
    if body is None:
        body = data.decode(errors="replace")
    if isinstance(body, dict):
        error = body.get("error", body)
        body = (error.get("message") or error) if isinstance(error, dict) else error
    text = " ".join(storable(str(body)).split())[:SHOWN_CHARACTERS]
    return f": {text}" if text else ""
