"""The chart's own command lines on this machine: what the init container, the server and `helm test` run."""

import socket
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from components.models.generators.generator import ChatRequest, Sampling, open_generator
from components.models.generators.openai.settings import OpenAISettings
from components.models.generators.transformers import TransformersSettings
from components.shared.errors import GenerationError
from components.shared.rows import Message
from tests.charts.run_pod import Pod, teacher_containers
from tests.deadlines import SECONDS

VALUES = "--values=teacher/ci/minimal-values.yaml"
MODEL = "demo-teacher"


@pytest.fixture(scope="module")
def pod(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pod]:
    """The server, once it listens; its output is shown when a test fails."""
    fetch, server, _ = teacher_containers(VALUES)
    folder = tmp_path_factory.mktemp("pod")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        made = Pod(folder, free.getsockname()[1])
    fetched = subprocess.run(**made.options(fetch), capture_output=True)
    assert fetched.returncode == 0, fetched.stderr
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(**made.options(server), stdout=log, stderr=log)
    try:
        yield made
    finally:
        process.terminate()
        process.wait(60)


def _ask(pod: Pod, model: str = MODEL) -> str:
    # Connecting waits until the server is there: 12 tries take four minutes.
    settings = OpenAISettings(model=model, endpoints=(pod.url,), window=2, attempts=12)
    teacher = open_generator(settings)
    try:
        question = ChatRequest(key="1", messages=(Message(role="user", content="hello"),))
        (reply,) = teacher.answer([question], Sampling(max_tokens=8))
    finally:
        teacher.close()
    assert reply.finish != "error", f"{reply.text}\n{(pod.folder / 'log').read_text()}"
    return reply.text


def test_the_products_own_client_is_answered_as_the_model_answers(pod: Pod) -> None:
    question = ChatRequest(key="1", messages=(Message(role="user", content="hello"),))
    local = open_generator(TransformersSettings(model="package:demo/teacher"))
    (expected,) = local.answer([question], Sampling(max_tokens=8))
    assert _ask(pod) == expected.text


def test_the_probes_path_answers(pod: Pod) -> None:
    _ask(pod)
    path = teacher_containers(VALUES)[1]["readinessProbe"]["httpGet"]["path"]
    with urllib.request.urlopen(f"http://127.0.0.1:{pod.port}{path}", timeout=SECONDS) as response:
        assert response.status == 200


def test_another_name_is_refused(pod: Pod) -> None:
    with pytest.raises((AssertionError, GenerationError), match="pinned to 'demo-teacher'"):
        _ask(pod, model="another")


def test_helm_test_passes(pod: Pod) -> None:
    _ask(pod)
    done = subprocess.run(**pod.options(teacher_containers(VALUES)[2]), capture_output=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("demo-teacher answers: ")


def test_helm_test_fails_without_a_server(tmp_path: Path) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        away = Pod(tmp_path, silent.getsockname()[1])
        done = subprocess.run(**away.options(teacher_containers(VALUES)[2]), capture_output=True)
    assert done.returncode == 1
    assert "cannot be reached" in done.stderr
    assert "Traceback" not in done.stderr


def test_helm_test_prints_no_key_and_sees_that_none_is_needed(pod: Pod) -> None:
    _ask(pod)
    options = pod.options(teacher_containers(VALUES)[2])
    options["env"]["TEACHER_API_KEY"] = "s3cr3t"
    done = subprocess.run(**options, capture_output=True)
    assert done.returncode == 1
    assert "also answers without the API key" in done.stderr
    assert "s3cr3t" not in done.stdout + done.stderr
