"""The teacher's chart with vLLM: exactly the command line that it renders, its probes, and `helm test`."""

import json
import socket
import subprocess
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from benchmarks.vllm_cpu.server import VllmServer, running
from tests.charts.run_pod import Pod, teacher_containers
from tests.deadlines import SECONDS
from tests.serving.teacher import LOCAL, ask, behind, requests

VALUES = "--values=teacher/ci/vllm-cpu-values.yaml"
OWN_SAMPLING = {"eos_token_id": 4, "repetition_penalty": 2.0, "top_k": 1}
"""Settings as many models ship them; requests state their own sampling."""


@dataclass(frozen=True)
class ChartServer:
    """The chart's server, and the pod that it runs in."""

    server: VllmServer
    pod: Pod


@pytest.fixture(scope="module")
def chart(vllm_programs: Path, api_key: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ChartServer]:
    """The server of the chart's pod, once its startup probe's path answers."""
    fetch, server, _ = teacher_containers(VALUES)
    folder = tmp_path_factory.mktemp("pod")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    placed = subprocess.run(**Pod(folder, port).options(fetch), capture_output=True, timeout=SECONDS)
    assert placed.returncode == 0, placed.stderr
    (model,) = (folder / "models" / "served").iterdir()
    (model / "generation_config.json").write_text(json.dumps(OWN_SAMPLING))
    pod = Pod(folder, port, vllm_programs, {"VLLM_API_KEY": api_key})
    process = VllmServer(pod.command(server), port, folder / "log", pod.environment(server))
    with running(process):
        yield ChartServer(process, pod)


def test_it_answers_as_the_model_itself_whatever_sampling_ships_with_it(chart: ChartServer) -> None:
    asked = requests(50)
    assert ask(behind(chart.server, model="demo-teacher"), asked) == ask(LOCAL, asked)


@pytest.mark.parametrize("name", ["startupProbe", "readinessProbe", "livenessProbe"])
def test_the_probes_answer_without_the_key(chart: ChartServer, name: str) -> None:
    probe = teacher_containers(VALUES)[1][name]["httpGet"]
    url = f"{probe['scheme'].lower()}://127.0.0.1:{chart.pod.port}{probe['path']}"
    with urllib.request.urlopen(url, timeout=SECONDS) as response:
        assert response.status == 200


def test_helm_test_is_content_with_the_key_and_no_other(chart: ChartServer, api_key: str) -> None:
    test = teacher_containers(VALUES)[2]
    for key, answer in ((api_key, 0), ("sk-wrong", 1)):
        pod = Pod(chart.pod.folder, chart.pod.port, variables={"TEACHER_API_KEY": key})
        done = subprocess.run(**pod.options(test), capture_output=True, timeout=SECONDS)
        assert done.returncode == answer, done.stdout + done.stderr
        assert key not in done.stdout + done.stderr
