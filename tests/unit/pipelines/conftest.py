"""A stand-in for Kubeflow, and the command line that talks to it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelines.kubeflow import watch_run
from tests.unit.pipelines.command import Tutelage
from tests.unit.pipelines.stand_in import Kubeflow, served

ELSEWHERE = ("KUBERNETES_SERVICE_HOST", "KUBECONFIG", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "TUTELAGE_KFP_NAMESPACE")


@pytest.fixture
def kubeflow() -> Kubeflow:
    return Kubeflow()


@pytest.fixture
def host(kubeflow: Kubeflow) -> Iterator[str]:
    with served(kubeflow) as url:
        yield url


@pytest.fixture
def tutelage(tmp_path: Path, host: str, monkeypatch: pytest.MonkeyPatch) -> Tutelage:
    """The command line of a user who can reach Kubeflow, but no cluster or store unless a test names one."""
    monkeypatch.setattr(watch_run, "POLL_SECONDS", 0.01)
    for name in ELSEWHERE:
        monkeypatch.delenv(name, raising=False)
    silent = {"AWS_ENDPOINT_URL": "http://127.0.0.1:9", "AWS_MAX_ATTEMPTS": "1", "AWS_EC2_METADATA_DISABLED": "true"}
    for name, value in {"HOME": str(tmp_path), "COLUMNS": "200", **silent}.items():
        monkeypatch.setenv(name, value)
    return Tutelage(tmp_path / "work", host)
