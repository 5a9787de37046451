"""A fake API server, and a kubeconfig for it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from components.launch.api.cluster import Cluster
from tests.unit.launch.api_server import ApiServer, FastClock
from tests.unit.launch.plain_kind import Bench


@pytest.fixture
def api() -> Iterator[ApiServer]:
    server = ApiServer(FastClock())
    yield server
    server.stop()


@pytest.fixture
def token_file(tmp_path: Path) -> Path:
    (tmp_path / "token").write_text("first")
    return tmp_path / "token"


@pytest.fixture
def kubeconfig(api: ApiServer, tmp_path: Path, token_file: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    written = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "test",
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test", "namespace": "team"}}],
        "clusters": [{"name": "test", "cluster": {"server": api.url}}],
        "users": [{"name": "test", "user": {"tokenFile": str(token_file)}}],
    }
    (tmp_path / "kubeconfig").write_text(yaml.safe_dump(written))
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
    monkeypatch.delenv("KFP_POD_NAME", raising=False)
    return tmp_path / "kubeconfig"


@pytest.fixture
def bench(api: ApiServer, kubeconfig: Path) -> Bench:
    return Bench(api, Cluster("team"))
