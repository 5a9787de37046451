"""A plugin of pytest for tests of trainings: `pytest_plugins = "tests.cluster.training_fixtures"`."""

from pathlib import Path

import pytest

from tests.cluster.access import Namespace
from tests.cluster.storage import Storage
from tests.cluster.training import TrainRun


@pytest.fixture
def kind_of_training() -> type[TrainRun]:
    """The class of `training`; a file of tests may have its own."""
    return TrainRun


@pytest.fixture
def training(  # noqa: PLR0917 - fixtures are given by name
    images: None,
    namespace: Namespace,
    storage: Storage,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    kind_of_training: type[TrainRun],
) -> TrainRun:
    """A run right before its training; this process reads the same store."""
    for name, value in storage.environment.items():
        monkeypatch.setenv(name, value)
    return kind_of_training(namespace, storage, tmp_path)
