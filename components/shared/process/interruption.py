"""Distinguishes temporary failures, which a retry may resolve, from those that somebody has to fix."""

from components.shared.errors import TutelageError

BUSY = (408, 429, 500, 502, 503, 504)
"""HTTP statuses after which the same request may succeed later."""
NO_CONNECTION = {
    *("ConnectionError", "TimeoutError"),  # Python's own; requests and urllib3 have some of the same names
    *("Timeout", "TransportError"),  # requests; httpx
    *("ProtocolError", "NewConnectionError"),  # urllib3
    "ClientConnectionError",  # aiohttp
    "LocalEntryNotFoundError",  # huggingface_hub, when it cannot reach the hub
    "Unreachable",  # the API server of a cluster (launch/refusals.py)
}
UNTRUSTED = "CERTIFICATE_VERIFY_FAILED"


def may_pass(error: BaseException) -> bool:
    """Whether a retry may succeed: errors of Tutelage state it; of others, a lost connection or a busy server may.

    Classes are matched by name, because their libraries may not be installed in a step's image.
    """
    if isinstance(error, TutelageError):
        return error.temporary
    if UNTRUSTED in str(error):
        return False
    status = getattr(getattr(error, "response", None), "status_code", None)
    if isinstance(status, int):
        return status in BUSY
    return bool(NO_CONNECTION & {each.__name__ for each in type(error).__mro__})
