"""The openai backend against a real OpenAI-compatible server: `transformers serve` with a tiny model."""

import importlib.util
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from components.models.teacher import Request, Sampling, TeacherSettings, open_teacher
from components.shared.rows import Message

LACKING = [name for name in ("fastapi", "uvicorn", "openai") if importlib.util.find_spec(name) is None]
pytestmark = pytest.mark.skipif(bool(LACKING), reason=f"transformers serve lacks {', '.join(LACKING)}")


@pytest.fixture
def server(models: dict[str, Path], tmp_path: Path) -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    program = Path(sys.executable).with_name("transformers")
    command = [program, "serve", str(models["teacher"]), "--device", "cpu", "--host", "127.0.0.1", "--port", str(port)]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    with (tmp_path / "server").open("w") as out:
        process = subprocess.Popen(command, env=environment, stdout=out, stderr=out)
    try:
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.terminate()
        process.wait(60)


def test_a_real_server_answers_like_the_model_itself(server: str, models: dict[str, Path]) -> None:
    asked = [
        Request(key=str(n), messages=(Message(role="system", content="Be brief."), Message(role="user", content=text)))
        for n, text in enumerate(("hello", "中文", "a longer question than that"))
    ]
    model = str(models["teacher"])
    # Connecting waits until the server is there: 12 tries take four minutes.
    remote = TeacherSettings(backend="openai", model=model, endpoints=(server,), window=2, attempts=12)
    sampling = Sampling(max_tokens=10)
    found = []
    for settings in (remote, TeacherSettings(model=model)):
        teacher = open_teacher(settings)
        found.append({reply.key: reply for reply in teacher.answer(asked, sampling)})
        teacher.close()
    served, local = found
    assert {key: reply.text for key, reply in served.items()} == {key: reply.text for key, reply in local.items()}
    assert {reply.tokens_in for reply in served.values()} == {reply.tokens_in for reply in local.values()}
    assert all(reply.tokens_out > 0 for reply in served.values())
