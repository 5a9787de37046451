"""A plugin of pytest for tests of trainings: `pytest_plugins = "tests.cluster.training_fixtures"`."""

from pathlib import Path

import pytest

from tests.cluster.access import Namespace
from tests.cluster.storage import Storage
from tests.cluster.training import TrainRun


@pytest.fixture
def training(
    images: None, namespace: Namespace, storage: Storage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> TrainRun:
    """A run of the demo's recipe right before its training; this process reads the same store."""
    for name, value in storage.environment.items():
        monkeypatch.setenv(name, value)
    return TrainRun(namespace, storage, tmp_path)
