"""Every metric that the chart's dashboard queries is one that a real Ray exports on the port that KubeRay names."""

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import free_port
from tests.deadlines import ended, next_line

DASHBOARD = Path(__file__).parents[2] / "charts" / "tutelage" / "files" / "jobs.json"
METRIC = re.compile(r"\bray_[a-z_]+\b")
LABELS_OF_PROMETHEUS = {"namespace", "pod", "tutelage_dev_job"}
SECONDS = 300.0
"""How long Ray may take to start, and to export each metric: minutes where other tests run beside it."""
PORTS = ("port", "metrics-export-port", "dashboard-port", "ray-client-server-port", "dashboard-agent-listen-port")
TOKEN = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "0123456789abcdef" * 4}  # as KubeRay starts it
DRIVER = """
import ray, time
ray.init(logging_level="ERROR")

@ray.remote
class Actor:
    def answer(self):
        return 1

actor = Actor.remote()
ray.get(actor.answer.remote())
kept = ray.put(b"x" * 1_000_000)
print("works", flush=True)
time.sleep(600)
"""


def queries() -> list[str]:
    """Every query of the dashboard: of panels, and of its variables."""
    dashboard = json.loads(DASHBOARD.read_text())
    panels = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    return panels + [one["query"] for one in dashboard["templating"]["list"] if one["type"] == "query"]


@pytest.fixture(scope="module")
def ray_metrics(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a real Ray's metrics; a driver with an actor runs on it."""
    ports = {name: free_port() for name in PORTS}
    folder = tmp_path_factory.mktemp("r")
    environment = {**os.environ, **TOKEN, "RAY_USAGE_STATS_ENABLED": "0"}
    options = [f"--{name}={port}" for name, port in ports.items()]
    # Worker ports beside other Rays of this machine are left to chance; a socket's path may not be long.
    sizes = ["--num-cpus=1", "--object-store-memory=80000000", "--min-worker-port=0", "--max-worker-port=0"]
    program = [
        Path(sys.executable).with_name("ray"),
        "start",
        "--head",
        "--block",
        f"--temp-dir=/tmp/{os.getpid()}-ray",
    ]
    with (folder / "log").open("wb") as log:
        ray = subprocess.Popen([*program, *options, *sizes], stdout=log, stderr=log, env=environment, process_group=0)
    connected = {**environment, "RAY_ADDRESS": f"127.0.0.1:{ports['port']}"}
    driver = None
    try:
        metrics = f"http://127.0.0.1:{ports['metrics-export-port']}/metrics"
        wait_until_served(metrics, folder / "log")
        driver = subprocess.Popen([sys.executable, "-c", DRIVER], env=connected, stdout=subprocess.PIPE)
        assert next_line(driver.stdout, SECONDS).strip() == b"works", "the driver ended"
        yield metrics
    finally:
        if driver is not None:
            driver.kill()
            ended(driver)
        ray.send_signal(signal.SIGTERM)
        ray.wait(60)
        subprocess.run(["rm", "-rf", f"/tmp/{os.getpid()}-ray"], timeout=600)


def wait_until_served(url: str, log: Path) -> None:
    deadline = time.monotonic() + SECONDS
    while True:
        try:
            urllib.request.urlopen(url, timeout=5).close()
            return
        except OSError:
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.5)


def exported(url: str) -> dict[str, set[str]]:
    """Names of metrics that have samples, with the names of their labels."""
    with urllib.request.urlopen(url, timeout=30) as answer:
        lines = answer.read().decode().splitlines()
    found: dict[str, set[str]] = {}
    for line in lines:
        if line and not line.startswith("#"):
            name, _, labels = line.partition("{")
            found.setdefault(name.split()[0], set()).update(re.findall(r'(\w+)="', labels))
    return found


def test_the_dashboard_queries_something() -> None:
    assert len(queries()) > 10
    assert all(METRIC.search(query) for query in queries())


def test_every_metric_is_exported_by_a_real_ray(ray_metrics: str) -> None:
    from ray.dashboard.modules.reporter.reporter_agent import METRICS_GAUGES

    wanted = {name for query in queries() for name in METRIC.findall(query)}
    # Without a GPU, Ray exports nothing about GPUs; what it would export is what it declares.
    of_gpus = {name for name in wanted if name.startswith(("ray_node_gpu", "ray_node_gram"))}
    assert of_gpus <= {f"ray_{name}" for name in METRICS_GAUGES}
    deadline = time.monotonic() + SECONDS
    while missing := wanted - of_gpus - exported(ray_metrics).keys():
        assert time.monotonic() < deadline, f"not exported: {sorted(missing)}"
        time.sleep(2)
    labels = set().union(*exported(ray_metrics).values())
    used = set(re.findall(r'(\w+)=~?"', " ".join(queries()))) | set(re.findall(r"by \((\w+)\)", " ".join(queries())))
    assert used <= labels | LABELS_OF_PROMETHEUS
