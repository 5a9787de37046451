"""A stand-in for the hub on this machine: as much of its API as its real clients need for public, plain files."""

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal
from urllib.parse import urlparse

from tests.serve import serving

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class Hub:
    """Where it listens, and what was fetched: names of files and the ranges that were asked for."""

    endpoint: str
    fetched: list[tuple[str, str]] = field(default_factory=list)


@contextmanager
def serve_hub(kind: Literal["models", "datasets"], files: Mapping[str, bytes]) -> Iterator[Hub]:
    """Serve one repository, owner/name, with these files at its root."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    hub = Hub(f"http://127.0.0.1:{server.server_port}")
    _Handler.kind, _Handler.files, _Handler.hub = kind, files, hub
    with serving(server):
        yield hub


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    kind: str
    files: Mapping[str, bytes]
    hub: Hub

    def do_GET(self) -> None:
        path, revision = urlparse(self.path).path, rf"(main|v1|{COMMIT})"
        repository = f"/api/{self.kind}/owner/name"
        folder = "/owner/name" if self.kind == "models" else f"/{self.kind}/owner/name"
        if re.fullmatch(rf"{repository}(/revision/{revision})?", path):
            siblings = [{"rfilename": name} for name in self.files]
            self._answer({"id": "owner/name", "sha": COMMIT, "siblings": siblings, "private": False, "tags": []})
        elif re.match(rf"{repository}/tree/{revision}", path):
            self._answer([self._entry(name) for name in self.files])
        elif re.match(rf"{folder}/resolve/{revision}/", path):
            self._file(path.rpartition("/")[2])
        else:
            self._refuse()

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        if urlparse(self.path).path == f"/api/{self.kind}/owner/name/paths-info/{COMMIT}":
            self._answer([self._entry(name) for name in self.files if name in body])
        else:
            self._refuse()

    def _file(self, name: str) -> None:
        if name not in self.files:
            self._refuse()
            return
        data, status, wanted = self.files[name], 200, self.headers.get("Range", "")
        self.hub.fetched.append((name, wanted))
        if bounds := re.fullmatch(r"bytes=(\d+)-(\d*)", wanted):
            data = data[int(bounds[1]) : int(bounds[2]) + 1 if bounds[2] else None]
            status = 206
        self._send(status, data, {"ETag": f'"{name}"', "X-Repo-Commit": COMMIT, "Accept-Ranges": "bytes"})

    def _entry(self, name: str) -> dict[str, Any]:
        return {"type": "file", "path": name, "size": len(self.files[name]), "oid": f"{abs(hash(name)):040x}"}

    def _answer(self, value: Any) -> None:
        self._send(200, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def _refuse(self) -> None:
        self._send(404, b"{}", {"X-Error-Code": "RepoNotFound" if "absent" in self.path else "EntryNotFound"})

    def _send(self, status: int, data: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(data))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def log_message(self, *_: Any) -> None:
        """Log nothing."""
