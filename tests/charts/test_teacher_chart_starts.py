"""The chart's own command lines on this machine: what the init container, the server and `helm test` run.

`/models` and `/tmp` are folders of the test, and the port is a free one; all else is what `helm template` renders.
"""

import re
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from components.models.teacher import Request, Sampling, TeacherSettings, open_teacher
from components.shared.errors import TeacherError
from components.shared.rows import Message
from tests.charts.programs import Object, template
from tests.deadlines import SECONDS

VALUES = "--values=teacher/ci/minimal-values.yaml"
MODEL = "demo-teacher"


@dataclass
class Pod:
    """Containers of the chart as processes."""

    folder: Path
    port: int

    @property
    def url(self) -> str:
        """The endpoint."""
        return f"http://127.0.0.1:{self.port}/v1"

    def command(self, container: Object) -> list[str]:
        """The container's command line here."""
        return [self._here(word) for word in (*container["command"], *container.get("args", ()))]

    def environment(self, container: Object) -> dict[str, str]:
        """The container's variables and no others, but for the path to the programs."""
        told = {each["name"]: self._here(each.get("value", "1")) for each in container["env"]}
        return {"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin", **told}

    def options(self, container: Object) -> dict[str, Any]:
        """What starts it as a process."""
        working = Path(self._here(container.get("workingDir", "/tmp")))
        return {"args": self.command(container), "env": self.environment(container), "cwd": working, "text": True}

    def _here(self, word: str) -> str:
        moved = word.replace("http://teacher.ai.svc:8000", f"http://127.0.0.1:{self.port}")
        moved = moved.replace("--port=8000", f"--port={self.port}").replace("0.0.0.0", "127.0.0.1")
        return re.sub(r"^/(models|tmp)\b", rf"{self.folder}/\1", moved)


def _containers() -> tuple[Object, Object, Object]:
    """The init container, the server, and that of `helm test`."""
    objects = template("teacher", VALUES, release="teacher", namespace="ai")
    (deployment,) = [one for one in objects if one["kind"] == "Deployment"]
    (test,) = [one for one in objects if one["kind"] == "Pod"]
    spec = deployment["spec"]["template"]["spec"]
    return spec["initContainers"][0], spec["containers"][0], test["spec"]["containers"][0]


@pytest.fixture(scope="module")
def pod(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pod]:
    """The server, once it listens; what it says is shown where a test fails."""
    fetch, server, _ = _containers()
    folder = tmp_path_factory.mktemp("pod")
    (folder / "models").mkdir()
    (folder / "tmp").mkdir()
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
    settings = TeacherSettings(backend="openai", model=model, endpoints=(pod.url,), window=2, attempts=12)
    teacher = open_teacher(settings)
    try:
        question = Request(key="1", messages=(Message(role="user", content="hello"),))
        (reply,) = teacher.answer([question], Sampling(max_tokens=8))
    finally:
        teacher.close()
    assert reply.finish != "error", f"{reply.text}\n{(pod.folder / 'log').read_text()}"
    return reply.text


def test_the_products_own_client_is_answered_as_the_model_answers(pod: Pod) -> None:
    question = Request(key="1", messages=(Message(role="user", content="hello"),))
    local = open_teacher(TeacherSettings(model="package:pipelines/demo/teacher"))
    (expected,) = local.answer([question], Sampling(max_tokens=8))
    assert _ask(pod) == expected.text


def test_the_probes_path_answers(pod: Pod) -> None:
    _ask(pod)
    path = _containers()[1]["readinessProbe"]["httpGet"]["path"]
    with urllib.request.urlopen(f"http://127.0.0.1:{pod.port}{path}", timeout=SECONDS) as response:
        assert response.status == 200


def test_another_name_is_refused(pod: Pod) -> None:
    with pytest.raises((AssertionError, TeacherError), match="pinned to 'demo-teacher'"):
        _ask(pod, model="another")


def test_helm_test_is_content(pod: Pod) -> None:
    _ask(pod)
    done = subprocess.run(**pod.options(_containers()[2]), capture_output=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("demo-teacher answers: ")


def test_helm_test_fails_for_a_server_that_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "tmp").mkdir()
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        away = Pod(tmp_path, silent.getsockname()[1])
        done = subprocess.run(**away.options(_containers()[2]), capture_output=True)
    assert done.returncode == 1
    assert "cannot be reached" in done.stderr
    assert "Traceback" not in done.stderr


def test_helm_test_prints_no_key_and_sees_that_none_is_needed(pod: Pod) -> None:
    _ask(pod)
    options = pod.options(_containers()[2])
    options["env"]["TEACHER_API_KEY"] = "s3cr3t"
    done = subprocess.run(**options, capture_output=True)
    assert done.returncode == 1
    assert "also answers without the API key" in done.stderr
    assert "s3cr3t" not in done.stdout + done.stderr
