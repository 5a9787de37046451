"""One real vLLM on this machine's CPUs for all tests of this folder; without it they are skipped with the reason."""

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.vllm_cpu.environment import VllmUnavailableError, environment
from benchmarks.vllm_cpu.server import VllmServer, running
from tests.serving.teacher import KEY_VARIABLE, teacher_server


@pytest.fixture(scope="session")
def vllm_programs() -> Path:
    """The programs of the environment with vLLM for CPUs."""
    try:
        return environment() / "bin"
    except VllmUnavailableError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session", autouse=True)
def api_key() -> Iterator[str]:
    """The key of all servers, in the variable that settings name."""
    key = f"sk-{secrets.token_hex(16)}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(KEY_VARIABLE, key)
        yield key


@pytest.fixture(scope="session")
def served(vllm_programs: Path, api_key: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[VllmServer]:
    """The server of most tests, which leave it running."""
    with running(teacher_server(tmp_path_factory.mktemp("served") / "log", api_key)) as server:
        yield server
