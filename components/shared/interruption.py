"""Tells an interruption, which may pass by itself, from what somebody has to mend."""

from components.shared.errors import TutelageError

BUSY = (408, 429, 500, 502, 503, 504)
"""HTTP statuses of a server that may answer the same request later."""
NO_CONNECTION = {
    *("ConnectionError", "TimeoutError"),  # Python's own; requests and urllib3 call some of theirs alike
    *("Timeout", "TransportError"),  # requests; httpx
    *("ProtocolError", "NewConnectionError"),  # urllib3
    "ClientConnectionError",  # aiohttp
    "LocalEntryNotFoundError",  # huggingface_hub, when it reaches nobody
    "Unreachable",  # the API server of a cluster (launch/refusals.py)
}
UNTRUSTED = "CERTIFICATE_VERIFY_FAILED"


def may_pass(error: BaseException) -> bool:
    """Whether the same work may succeed later: an error of ours says so; of others, a lost connection or a busy server.

    Classes go by their names, since a step need not have the libraries that others bring.
    """
    if isinstance(error, TutelageError):
        return error.temporary
    if UNTRUSTED in str(error):
        return False
    status = getattr(getattr(error, "response", None), "status_code", None)
    if isinstance(status, int):
        return status in BUSY
    return bool(NO_CONNECTION & {each.__name__ for each in type(error).__mro__})
