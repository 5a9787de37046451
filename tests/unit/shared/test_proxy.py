"""Which proxy a URL is reached through, and that store and teacher go that way: real servers on loopback."""

from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from huggingface_hub.utils._http import default_client_factory

from components.models.generators.generator import ChatRequest, Sampling
from components.models.generators.openai.generator import OpenAIGenerator
from components.models.generators.openai.settings import OpenAISettings
from components.shared.errors import GenerationError, SettingsError, StoreError
from components.shared.proxy import is_bypassed, proxy_of, through
from components.shared.rows import Message
from components.shared.store.open_store import open_store
from tests.serve import serving

PASSWORD = "pa55word"
VARIABLES = ("http_proxy", "https_proxy", "no_proxy", "all_proxy")


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.mark.parametrize(
    ("entries", "url", "bypassed"),
    [
        ("10.0.0.0/8", "http://10.1.2.3:9000", True),
        ("10.1.2.3/8", "http://10.200.0.1", True),
        ("10.0.0.0/8", "http://11.1.2.3:9000", False),
        ("192.168.0.0/16,10.0.0.0/8", "https://10.1.2.3", True),
        ("192.168.0.0/16 10.0.0.0/8", "https://10.1.2.3", True),
        (" 192.168.0.0/16 , 10.0.0.0/8 ", "https://10.1.2.3", True),
        ("10.0.0.0/8", "http://store.example.org", False),
        ("10.0.0.0/8", "http://[fd00::1]:9000", False),
        ("fd00::/8", "http://[fd00::1]:9000", True),
        ("[fd00::]/8", "http://[fd00::1]:9000", True),
        ("fd00::/8", "http://10.1.2.3", False),
        ("10.0.0.0/99", "http://10.1.2.3", False),
        ("10.1.2.3", "http://10.1.2.3:9000", True),
        ("10.1.2.3:9000", "http://10.1.2.3:9000", True),
        ("10.1.2.3:9000", "http://10.1.2.3:9001", False),
        ("2.3", "http://10.1.2.3", False),
        ("::1", "http://[::1]:9000", True),
        ("[::1]:9000", "http://[::1]:9000", True),
        ("[::1]:9000", "http://[::1]:9001", False),
        ("0:0:0:0:0:0:0:1", "http://[::1]:9000", True),
        ("*", "https://example.org", True),
        ("example.org", "https://example.org", True),
        ("example.org", "https://s3.example.org", True),
        (".example.org", "https://s3.example.org", True),
        ("*.example.org", "https://s3.example.org", True),
        ("Example.ORG", "https://S3.example.org", True),
        ("example.org", "https://notexample.org", False),
        ("example.org", "https://example.org.evil.com", False),
        (".svc,.cluster.local", "http://minio.team.svc:9000", True),
        (".cluster.local", "http://minio.team.svc.cluster.local.:9000", True),
        ("example.org:443", "https://example.org", True),
        ("example.org:8443", "https://example.org", False),
        ("localhost", "http://localhost:8000", True),
        ("", "http://localhost:8000", False),
        (",,", "http://localhost:8000", False),
    ],
)
def test_no_proxy(monkeypatch: pytest.MonkeyPatch, entries: str, url: str, bypassed: bool) -> None:
    monkeypatch.setenv("NO_PROXY", entries)
    monkeypatch.setenv("HTTP_PROXY", "http://proxy:3128")
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy:3128")
    assert is_bypassed(url) is bypassed
    assert (proxy_of(url) is None) is bypassed


def test_a_message_names_the_proxy_and_no_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", f"http://me:{PASSWORD}@proxy.example.org:3128")
    assert through("https://example.org") == " (through the proxy proxy.example.org:3128 of HTTPS_PROXY)"
    assert through("http://example.org") == ""
    assert through("") == ""


def test_a_proxy_without_a_scheme_is_an_http_proxy_and_others_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "proxy.example.org:3128")
    proxy = proxy_of("http://example.org")
    assert proxy is not None and proxy.url == "http://proxy.example.org:3128"
    monkeypatch.setenv("HTTP_PROXY", f"socks5://me:{PASSWORD}@proxy.example.org:1080")
    with pytest.raises(SettingsError, match="socks5") as caught:
        proxy_of("http://example.org")
    assert PASSWORD not in str(caught.value)


class Server(ThreadingHTTPServer):
    """Answers every request in the same way and records the paths; as a proxy it sees complete URLs."""

    daemon_threads = True

    def __init__(self, status: int, body: bytes, kind: str) -> None:
        self.status, self.body, self.kind, self.asked = status, body, kind, list[str]()
        super().__init__(("127.0.0.1", 0), Answering)

    @property
    def place(self) -> str:
        return f"127.0.0.1:{self.server_port}"


class Answering(BaseHTTPRequestHandler):
    server: Server

    def answer(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.asked.append(self.path)
        self.send_response(self.server.status)
        self.send_header("Content-Type", self.server.kind)
        self.send_header("Content-Length", str(len(self.server.body)))
        self.end_headers()
        self.wfile.write(self.server.body)

    def do_GET(self) -> None:
        self.answer()

    def do_POST(self) -> None:
        self.answer()

    def log_message(self, *_: object) -> None:
        """Log nothing."""


ANSWER = b'{"choices": [{"message": {"content": "Paris."}, "finish_reason": "stop"}]}'
LISTING = b"""<?xml version="1.0"?><ListBucketResult><Name>bucket</Name><KeyCount>1</KeyCount>
<IsTruncated>false</IsTruncated><Contents><Key>key</Key><Size>1</Size><LastModified>2026-01-01T00:00:00Z</LastModified></Contents></ListBucketResult>"""


@pytest.fixture
def proxy(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A proxy that blocks every request."""
    server = Server(403, b"<html>denied by policy</html>", "text/html")
    for name in ("HTTP_PROXY", "http_proxy"):
        monkeypatch.setenv(name, f"http://me:{PASSWORD}@{server.place}")
    with serving(server):
        yield server


@pytest.fixture
def teacher_server() -> Iterator[Server]:
    with serving(Server(200, ANSWER, "application/json")) as server:
        yield server


@pytest.fixture
def bucket_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    server = Server(200, LISTING, "application/xml")
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{server.place}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "someone")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "something")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with serving(server):
        yield server


def ask(server: Server) -> str:
    settings = OpenAISettings(model="m", endpoints=(f"http://{server.place}/v1",), attempts=2, backoff_seconds=0.01)
    teacher = OpenAIGenerator.open(settings)
    try:
        (reply,) = teacher.answer([ChatRequest(key="k", messages=(Message(role="user", content="?"),))], Sampling())
        return reply.text
    finally:
        teacher.close()


@pytest.mark.parametrize("entry", ["127.0.0.0/8", "127.0.0.1", "10.0.0.0/8,127.0.0.1/32"])
def test_a_teacher_within_the_range_is_reached_without_the_proxy(
    proxy: Server, teacher_server: Server, monkeypatch: pytest.MonkeyPatch, entry: str
) -> None:
    monkeypatch.setenv("NO_PROXY", entry)
    assert ask(teacher_server) == "Paris."
    assert proxy.asked == []


def test_the_hubs_client_reaches_a_mirror_within_the_range_without_the_proxy(
    proxy: Server, teacher_server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    # It supports ranges by itself, unlike boto3 and aiohttp.
    monkeypatch.setenv("NO_PROXY", "127.0.0.0/8")
    with default_client_factory() as client:
        assert client.get(f"http://{teacher_server.place}/api/models/x").status_code == 200
    assert proxy.asked == []


def test_the_error_of_a_blocked_teacher_names_the_proxy(
    proxy: Server, teacher_server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_PROXY", "10.0.0.0/8")
    with pytest.raises(GenerationError) as caught:
        ask(teacher_server)
    assert teacher_server.asked == []
    assert proxy.asked[-1].startswith(f"http://{teacher_server.place}/v1/")
    assert f"through the proxy {proxy.place} of HTTP_PROXY" in caught.value.problem
    assert "NO_PROXY" in caught.value.remedy
    assert PASSWORD not in str(caught.value)


def test_a_proxy_that_is_down_is_named(teacher_server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://me:{PASSWORD}@127.0.0.1:9")
    with pytest.raises(GenerationError) as caught:
        ask(teacher_server)
    assert "through the proxy 127.0.0.1:9 of HTTP_PROXY" in caught.value.problem
    assert PASSWORD not in str(caught.value)


@pytest.mark.parametrize("entry", ["127.0.0.0/8", "127.0.0.1"])
def test_a_store_within_the_range_is_reached_without_the_proxy(
    proxy: Server, bucket_server: Server, monkeypatch: pytest.MonkeyPatch, entry: str
) -> None:
    monkeypatch.setenv("NO_PROXY", entry)
    assert open_store("s3://bucket").exists("key")
    assert proxy.asked == []


def test_the_error_of_a_blocked_store_names_the_proxy(
    proxy: Server, bucket_server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_PROXY", "10.0.0.0/8")
    with pytest.raises(StoreError) as caught:
        open_store("s3://bucket").exists("key")
    assert bucket_server.asked == []
    assert len(proxy.asked) == 1
    assert f"through the proxy {proxy.place} of HTTP_PROXY" in caught.value.problem
    assert "NO_PROXY" in caught.value.remedy
    assert PASSWORD not in str(caught.value)


def test_a_proxy_of_the_store_that_is_down_is_named(bucket_server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://me:{PASSWORD}@127.0.0.1:9")
    with pytest.raises(StoreError) as caught:
        open_store("s3://bucket").exists("key")
    assert "through the proxy 127.0.0.1:9 of HTTP_PROXY" in caught.value.problem
    assert PASSWORD not in str(caught.value)


def test_the_environment_of_a_running_process_may_change(
    proxy: Server, bucket_server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(StoreError):
        open_store("s3://bucket").exists("key")
    monkeypatch.setenv("NO_PROXY", "127.0.0.0/8")
    assert open_store("s3://bucket").exists("key")
