"""The openai backend against a real OpenAI-compatible server: `transformers serve` with a tiny model."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from components.models.generators.generator import ChatRequest, Sampling, open_generator
from components.models.generators.openai.settings import OpenAISettings
from components.models.generators.transformers import TransformersSettings
from components.shared.rows import Message
from tests.transformers_server import transformers_server


@pytest.fixture
def server(models: dict[str, Path], tmp_path: Path) -> Iterator[str]:
    with transformers_server(models["teacher"], tmp_path / "server") as url:
        yield url


def test_a_real_server_answers_like_the_model_itself(server: str, models: dict[str, Path]) -> None:
    system = Message(role="system", content="Be brief.")
    asked = [
        ChatRequest(key=str(n), messages=(system, Message(role="user", content=text)))
        for n, text in enumerate(("hello", "中文", "a longer question than that"))
    ]
    model = str(models["teacher"])
    # Connecting waits until the server is there: 12 tries take four minutes.
    remote = OpenAISettings(model=model, endpoints=(server,), window=2, attempts=12)
    sampling = Sampling(max_tokens=10)
    found = []
    for settings in (remote, TransformersSettings(model=model)):
        teacher = open_generator(settings)
        found.append({reply.key: reply for reply in teacher.answer(asked, sampling)})
        teacher.close()
    served, local = found
    assert {key: reply.text for key, reply in served.items()} == {key: reply.text for key, reply in local.items()}
    assert {reply.tokens_in for reply in served.values()} == {reply.tokens_in for reply in local.values()}
    assert all(reply.tokens_out > 0 for reply in served.values())
