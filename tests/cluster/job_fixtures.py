"""A plugin of pytest for tests of jobs: `pytest_plugins = "tests.cluster.job_fixtures"`."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from components.launch.job import Job
from tests.cluster.access import Namespace
from tests.cluster.jobs import Start, StartedJob, account_kubeconfig


@pytest.fixture
def start(images: None, namespace: Namespace, tmp_path: Path) -> Iterator[Start]:
    """Starts jobs with the rights of the product's Role, and ends their processes."""
    started: list[StartedJob] = []
    kubeconfig = account_kubeconfig(namespace, tmp_path)

    def begin(job: Job) -> StartedJob:
        started.append(StartedJob(namespace, job, kubeconfig, tmp_path))
        return started[-1]

    yield begin
    for one in started:
        one.stop()
