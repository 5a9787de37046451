"""The demo's teacher behind a real vLLM, the questions that it is asked, and the same model in this process."""

import json
from pathlib import Path
from typing import Any

from benchmarks.vllm_cpu.server import VllmServer, prepare
from components.models.generators.generator import ChatRequest, GeneratorSettings, Reply, Sampling, open_generator
from components.models.generators.openai.settings import OpenAISettings
from components.models.generators.transformers import TransformersSettings
from components.models.reference import package_folder
from components.shared.rows import Message

TEACHER = "package:demo/teacher"
SERVED_NAME = "demo-teacher"
KEY_VARIABLE = "SERVING_TEST_KEY"
CONTEXT_TOKENS = 256

LOCAL = TransformersSettings(model=TEACHER, batch=32)
"""The teacher in this process."""


def teacher_server(log: Path, api_key: str, *options: str, model: Path | None = None) -> VllmServer:
    """A server that is not started yet; the key comes by vLLM's own variable, as in the chart."""
    folder = model or package_folder(TEACHER)
    server = prepare(log, folder, *options, name=SERVED_NAME, context_tokens=CONTEXT_TOKENS)
    server.variables = {**server.variables, "VLLM_API_KEY": api_key}
    return server


def behind(*servers: VllmServer, **changes: Any) -> OpenAISettings:
    """A teacher behind servers that know the key of KEY_VARIABLE."""
    plain = {"model": SERVED_NAME, "endpoints": [server.url for server in servers], "api_key_variable": KEY_VARIABLE}
    return OpenAISettings.model_validate({**plain, "window": 16, "backoff_seconds": 0.05, **changes})


def requests(count: int) -> list[ChatRequest]:
    """Some of the demo's held-out questions, of all families."""
    rows = [json.loads(line) for line in package_folder("package:demo/heldout.jsonl").read_text().splitlines()]
    return [request(row["id"], row["question"]) for row in rows[:: len(rows) // count][:count]]


def request(key: str, text: str) -> ChatRequest:
    """A question."""
    return ChatRequest(key=key, messages=(Message(role="user", content=text),))


def ask(settings: GeneratorSettings, asked: list[ChatRequest], **sampling: Any) -> dict[str, Reply]:
    """The reply to every request, by key."""
    generator = open_generator(settings)
    try:
        replies = list(generator.answer(asked, Sampling.model_validate({"max_tokens": 40, **sampling})))
    finally:
        generator.close()
    assert sorted(reply.key for reply in replies) == sorted(one.key for one in asked)
    return {reply.key: reply for reply in replies}
