"""The command line as tests call it, against a stand-in for Kubeflow."""

import json
from pathlib import Path
from typing import Any

from typer.testing import CliRunner, Result

from pipelines.cli.main import app

ROOT = Path(__file__).parents[3]
DEMO = ROOT / "pipelines" / "recipes" / "demo.yaml"
SMALL = ROOT / "pipelines" / "placements" / "small-cluster.yaml"


class Tutelage:
    """The command line, with its own work folder."""

    def __init__(self, work: Path, host: str) -> None:
        self.work, self.host = work, host

    def __call__(self, *arguments: str) -> Result:
        return CliRunner().invoke(app, [*arguments, "--work", str(self.work)])

    def submit(self, *more: str) -> Result:
        given = ("submit", str(DEMO), "--placement", str(SMALL), "--store", "s3://bucket/demo", "--host", self.host)
        return self(*given, *more)


def write_kubeconfig(path: Path, url: str, namespace: str = "team") -> None:
    """A kubeconfig that names an API server, and a namespace where one is given."""
    context: dict[str, Any] = {"cluster": "c", "user": "u"} | ({"namespace": namespace} if namespace else {})
    config = {
        "clusters": [{"name": "c", "cluster": {"server": url}}],
        "users": [{"name": "u", "user": {"token": "t"}}],
        "contexts": [{"name": "x", "context": context}],
        "current-context": "x",
    }
    path.write_text(json.dumps(config))
