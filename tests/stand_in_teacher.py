"""An OpenAI-compatible endpoint over loopback HTTP, whose answers a test gives."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.serve import serving


class StandInTeacher(ThreadingHTTPServer):
    """Answers every conversation by its last message, and notes the prompts.

    Attributes:
        prompts: the last messages so far, in the order in which they came.
    """

    def __init__(self, answer: Callable[[str], str]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.prompts: list[str] = []
        self._answer, self._one_at_a_time = answer, threading.Lock()

    @property
    def url(self) -> str:
        """The base URL, as recipes name it."""
        return f"http://127.0.0.1:{self.server_port}/v1"

    def answer(self, prompt: str) -> str:
        """The answer to a prompt; a test's function is called by one thread at a time."""
        with self._one_at_a_time:
            self.prompts.append(prompt)
            return self._answer(prompt)


@contextmanager
def stand_in_teacher(answer: Callable[[str], str]) -> Iterator[StandInTeacher]:
    """A teacher that runs for the time of the context."""
    with serving(StandInTeacher(answer)) as server:
        yield server


class _Handler(BaseHTTPRequestHandler):
    server: StandInTeacher

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        text = self.server.answer(asked["messages"][-1]["content"])
        choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}
        usage = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
        body = json.dumps({"id": "x", "object": "chat.completion", "choices": [choice], "usage": usage}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        """Keep the test's output clean."""
