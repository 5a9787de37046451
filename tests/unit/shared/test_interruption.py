"""Which errors are temporary: those of network libraries, and those made from a store's responses."""

import socket

import pytest

from components.shared.errors import LeaseError, StoreError, TutelageError
from components.shared.process.interruption import may_pass
from components.shared.store.attempts import ATTEMPTS_VARIABLE
from components.shared.store.open_store import open_store
from tests.unit.pipelines.stand_in import served


class Answer:
    def __init__(self, status_code: int) -> None:
        self.status_code = status_code


class HubError(Exception):
    def __init__(self, status: int) -> None:
        super().__init__(f"HTTP {status}")
        self.response = Answer(status)


@pytest.mark.parametrize(
    ("error", "passes"),
    [
        (ConnectionResetError("reset by peer"), True),
        (TimeoutError("timed out"), True),
        (HubError(503), True),
        (HubError(429), True),
        (HubError(404), False),
        (HubError(401), False),
        (ConnectionError("[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed"), False),
        (OSError(28, "No space left on device"), False),
        (PermissionError("denied"), False),
        (TutelageError("mend it"), False),
        (LeaseError("another writer", temporary=True), True),
    ],
)
def test_interruptions_are_distinguished_from_lasting_failures(error: Exception, passes: bool) -> None:
    assert may_pass(error) is passes


def test_the_errors_of_network_libraries_are_recognised() -> None:
    import aiohttp
    import httpx2
    import requests
    import urllib3.exceptions

    from components.launch.api.refusals import Unreachable

    for error in (
        aiohttp.ServerDisconnectedError(),
        httpx2.ConnectError("refused"),
        httpx2.ReadTimeout("slow"),
        requests.ConnectionError("refused"),
        requests.Timeout("slow"),
        Unreachable("503 to list pods"),
        urllib3.exceptions.ProtocolError("cut"),
        urllib3.exceptions.NewConnectionError(None, "refused"),  # type: ignore[arg-type]
        urllib3.exceptions.ReadTimeoutError(None, None, "slow"),  # type: ignore[arg-type]
    ):
        assert may_pass(error), type(error)


@pytest.fixture
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """Some credentials, and one attempt for each request."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "any")
    monkeypatch.setenv(ATTEMPTS_VARIABLE, "1")


@pytest.mark.parametrize(
    ("status", "code", "passes"),
    [
        (503, "SlowDown", True),
        (503, "ServiceUnavailable", True),
        (500, "InternalError", True),
        (502, "", True),
        (429, "TooManyRequests", True),
        (400, "RequestTimeout", True),
        (403, "AccessDenied", False),
        (403, "RequestTimeTooSkewed", False),
        (507, "InsufficientStorage", False),
        (500, "XMinioStorageFull", False),
        (400, "InvalidArgument", False),
        (501, "NotImplemented", False),
    ],
)
def test_a_stores_answer(keys: None, status: int, code: str, passes: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    page = f"<Error><Code>{code}</Code><Message>for a test</Message></Error>" if code else "<html>bad gateway</html>"
    with served(lambda request: (status, page)) as url:
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        with pytest.raises(StoreError) as caught:
            open_store("s3://bucket").read("key")
    assert caught.value.temporary is passes, str(caught.value)


def test_a_store_that_nobody_reaches_may_be_back(keys: None, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{unused.getsockname()[1]}")
        with pytest.raises(StoreError) as caught:
            open_store("s3://bucket").read("key")
    assert caught.value.temporary
