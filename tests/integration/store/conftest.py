"""The same behaviour is tested with every store: a folder, moto, and a real S3 server."""

from pathlib import Path

import pytest

from components.shared.store.open_store import open_store
from components.shared.store.store import Store


@pytest.fixture(params=["folder", "moto", "s3"])
def root(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The URI of an empty store."""
    if request.param == "folder":
        return str(tmp_path / "store")
    server = request.getfixturevalue("moto_server" if request.param == "moto" else "s3_server")
    return str(server.use(monkeypatch)) + "/some/prefix"


@pytest.fixture
def store(root: str) -> Store:
    """An empty store."""
    return open_store(root)
