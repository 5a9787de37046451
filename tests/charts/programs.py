"""The programs that the charts' tests run: those of the node on this machine, or a skip that says how to get them."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cluster.node.programs import HELM, KUBERNETES, Program

CHARTS = Path(__file__).parents[2] / "charts"

EARLIER = "0.0.9"
Object = dict[str, Any]


def built(program: Program) -> str:
    """The program's path, or a skip."""
    file = program.file()
    if not file.exists():
        pytest.skip(f"needs {program.name} {program.version}: make cluster-up builds it")
    return str(file)


def run(program: Program, *arguments: str, folder: Path = CHARTS) -> subprocess.CompletedProcess[str]:
    """Run a program in a folder, with both of its outputs in `stdout`."""
    command = [built(program), *arguments]
    return subprocess.run(command, cwd=folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=600)


def template(chart: str, *arguments: str, release: str = "teacher", namespace: str = "ai") -> list[Object]:
    """A chart's objects as `helm template` renders them; fails with helm's own message."""
    version = f"--kube-version={KUBERNETES.version}"
    done = run(HELM, "template", release, chart, f"--namespace={namespace}", version, *arguments)
    assert done.returncode == 0, done.stdout
    return [one for one in yaml.safe_load_all(done.stdout) if one]


def refusal(chart: str, *arguments: str) -> str:
    """helm's message for values that it refuses."""
    version = f"--kube-version={KUBERNETES.version}"
    done = run(HELM, "template", "release", chart, version, *arguments)
    assert done.returncode != 0, f"{arguments} were not refused:\n{done.stdout}"
    return done.stdout


def ci_values(chart: str) -> list[Path]:
    """The files of values that the chart ships for continuous integration."""
    return sorted((CHARTS / chart / "ci").glob("*-values.yaml"))


def earlier(chart: str, folder: Path) -> Path:
    """A chart as the version before would be: no version was released before this one, so it is this one under an
    earlier number, which is in every object's labels and, as the product's, in the images' tags."""
    copied = folder / f"{chart}-earlier"
    shutil.copytree(CHARTS / chart, copied)
    about = yaml.safe_load((copied / "Chart.yaml").read_text())
    (copied / "Chart.yaml").write_text(yaml.safe_dump({**about, "version": EARLIER, "appVersion": EARLIER}))
    return copied


def as_values(**values: Any) -> str:
    """An argument of helm that sets values of any type."""
    return f"--set-json={','.join(f'{key}={json.dumps(value)}' for key, value in values.items())}"
