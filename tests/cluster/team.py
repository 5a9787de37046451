"""A team's namespace that the chart fills, where the other tests apply k8s/base."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.charts.programs import CHARTS, built
from tests.cluster.access import AUTHORITY_CONFIG_MAP, S3_SECRET, Cluster, Namespace
from tests.cluster.demo import KEYS
from tests.cluster.images import VARIABLES, image
from tests.cluster.node.programs import HELM
from tests.cluster.node.storage import make_user, remove_user
from tests.cluster.storage import Storage

CHART = CHARTS / "tutelage"
RELEASE = "tutelage"
OTHERS_WORK = ("event", "lease", "endpoint", "podmetrics", "controllerrevision")
"""Kinds of objects that controllers create and delete by themselves."""


@dataclass(frozen=True)
class Team(Namespace):
    """A namespace with a bucket, its keys and the authority; the chart installs everything of the product."""

    def apply_product(self) -> None:
        """Apply nothing: the chart installs it."""

    def helm(self, *arguments: str, fails: bool = False) -> str:
        """Run helm in it; returns both outputs."""
        access = [f"--kubeconfig={self.cluster.kubeconfig}", f"--namespace={self.name}"]
        command = [built(HELM), *access, *arguments]
        done = subprocess.run(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=600)
        assert bool(done.returncode) == fails, f"helm {' '.join(arguments[:2])}:\n{done.stdout}"
        return done.stdout

    def install(self, *values: str, chart: Path = CHART) -> str:
        """Install the chart; returns its notes."""
        return self.helm("install", RELEASE, str(chart), "--wait", "--timeout=3m", *values)

    def placement(self, folder: Path) -> Path:
        """The placement that the chart made, in a file."""
        path = folder / "placement.yaml"
        wanted = ("configmap", f"{RELEASE}-placement", "-o", r"jsonpath={.data.placement\.yaml}")
        path.write_text(self.kubectl("get", *wanted))
        return path

    def objects(self) -> set[str]:
        """All objects of the namespace, KIND/NAME."""
        kinds = self.cluster.kubectl("api-resources", "--namespaced", "--verbs=list", "-o", "name").split()
        wanted = ",".join(kind for kind in kinds if not kind.startswith(OTHERS_WORK))
        return set(self.kubectl("get", wanted, "-o", "name", "--ignore-not-found").split())

    def may(self, account: str, verb: str, resource: str) -> bool:
        """Whether an account may do something in this namespace."""
        said = self.kubectl("auth", "can-i", verb, resource, f"--as={account}", check=False)
        return said.strip().splitlines()[-1] == "yes"


@contextmanager
def new_team(cluster: Cluster, storage: Storage) -> Iterator[Team]:
    """A team's namespace and its bucket, on the node with keys to that bucket alone; all is deleted afterwards."""
    built(HELM)
    own = Team(cluster)
    storage.client.create_bucket(Bucket=own.bucket)
    try:
        keys = make_user(own.bucket) if cluster.own else storage.keys
        own.fill(keys, storage.authority.read_text())
        yield own
    finally:
        own.remove()
        storage.remove_bucket(own.bucket)
        if cluster.own:
            remove_user(own.bucket)


def site_values(team: Team, storage: Storage) -> dict[str, Any]:
    """Values of the chart with this cluster's images and store."""
    values: dict[str, Any] = {
        "store.root": f"{team.store}/outputs",
        "store.endpoint": storage.endpoint,
        "store.secret": {"name": S3_SECRET, "accessKey": KEYS[0], "secretKey": KEYS[1]},
        "certificateAuthority.configMap": AUTHORITY_CONFIG_MAP,
        "test.startSeconds": 300,
    }
    for name in VARIABLES:
        path, _, tag = image(name).rpartition(":")
        registry, _, repository = path.partition("/")
        values[f"images.{name}"] = {"registry": registry, "repository": repository, "tag": tag}
    return values
