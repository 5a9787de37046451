"""The chart of a team's namespace on a real cluster, in namespaces that enforce restricted pods."""

import shlex
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
import yaml

from components.launch.rights import RIGHTS
from pipelines.placement import Placement
from tests.charts.programs import CHARTS, as_values, built
from tests.cluster.access import AUTHORITY_CONFIG_MAP, S3_SECRET, Cluster, Namespace
from tests.cluster.demo import KEYS
from tests.cluster.images import image
from tests.cluster.node.programs import HELM
from tests.cluster.storage import Storage

CHART = CHARTS / "tutelage"
OTHERS_WORK = ("event", "lease", "endpoint", "podmetrics", "controllerrevision")
"""Kinds of objects that come and go by themselves."""
ACCOUNT = "system:serviceaccount:{}:tutelage"
TEST_TIMEOUT = "--timeout=15m"


@dataclass(frozen=True)
class Team(Namespace):
    """A namespace with a bucket, its keys and the authority, and nothing of the product: the chart brings that."""

    def apply_product(self) -> None:
        """Nothing."""

    def helm(self, *arguments: str, fails: bool = False) -> str:
        """Run helm in it; what it says on both outputs."""
        access = [f"--kubeconfig={self.cluster.kubeconfig}", f"--namespace={self.name}"]
        command = [built(HELM), *access, *arguments]
        done = subprocess.run(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        assert bool(done.returncode) == fails, f"helm {' '.join(arguments[:2])}:\n{done.stdout}"
        return done.stdout

    def install(self, *values: str) -> str:
        """Install the chart; what it notes."""
        return self.helm("install", "tutelage", str(CHART), "--wait", "--timeout=3m", *values)

    def objects(self) -> set[str]:
        """Everything that lies in the namespace, KIND/NAME."""
        kinds = self.cluster.kubectl("api-resources", "--namespaced", "--verbs=list", "-o", "name").split()
        wanted = ",".join(kind for kind in kinds if not kind.startswith(OTHERS_WORK))
        return set(self.kubectl("get", wanted, "-o", "name", "--ignore-not-found").split())

    def may(self, account: str, verb: str, resource: str) -> bool:
        """Whether an account may do something in this namespace."""
        said = self.kubectl("auth", "can-i", verb, resource, f"--as={account}", check=False)
        return said.strip().splitlines()[-1] == "yes"


@pytest.fixture
def team(cluster: Cluster, storage: Storage) -> Iterator[Team]:
    """A namespace of the test."""
    yield from made(cluster, storage)


@pytest.fixture
def other_team(cluster: Cluster, storage: Storage) -> Iterator[Team]:
    """Another one."""
    yield from made(cluster, storage)


def made(cluster: Cluster, storage: Storage) -> Iterator[Team]:
    built(HELM)
    own = Team(cluster)
    storage.client.create_bucket(Bucket=own.bucket)
    try:
        own.fill(storage.keys, storage.authority.read_text())
        yield own
    finally:
        own.remove()
        storage.remove_bucket(own.bucket)


@pytest.fixture
def site(images: None, team: Team, storage: Storage) -> str:
    """Values with this cluster's images and store."""
    values = {
        "store.root": f"{team.store}/outputs",
        "store.endpoint": storage.endpoint,
        "store.secret": {"name": S3_SECRET, "accessKey": KEYS[0], "secretKey": KEYS[1]},
        "certificateAuthority.configMap": AUTHORITY_CONFIG_MAP,
        "test.startSeconds": 300,
    }
    for name in ("launcher", "train", "ray"):
        # The train image has Ray, and a node of the tests has no room for a second one of its size.
        path, _, tag = image("train" if name == "ray" else name).rpartition(":")
        registry, _, repository = path.partition("/")
        values[f"images.{name}"] = {"registry": registry, "repository": repository, "tag": tag}
    return as_values(**values)


def test_install_upgrade_rollback_and_uninstall_leave_nothing(team: Team) -> None:
    before = team.objects()
    assert "helm test tutelage" in team.install()
    installed = team.objects()
    assert {"serviceaccount/tutelage", "trainingruntime.trainer.kubeflow.org/tutelage"} <= installed
    more = as_values(**{"limitRange.enabled": True, "pods.user": 1234, "networkPolicy.egress.enabled": True})
    team.helm("upgrade", "tutelage", str(CHART), "--wait", more)
    upgraded = team.objects()
    assert "trainingruntime.trainer.kubeflow.org/tutelage-site" in upgraded and "limitrange/tutelage" in upgraded
    team.helm("rollback", "tutelage", "1", "--wait")
    records = {name for name in team.objects() if "sh.helm.release" in name}
    assert len(records) == 3
    assert team.objects() - records == installed - {name for name in installed if "sh.helm.release" in name}
    team.helm("uninstall", "tutelage", "--wait", "--timeout=3m")
    assert team.objects() == before


def test_every_optional_object_is_one_that_the_cluster_takes(team: Team) -> None:
    values = as_values(
        **{
            "limitRange.enabled": True,
            "resourceQuota.enabled": True,
            "cleanUp.enabled": True,
            "store.root": team.store,
            "networkPolicy.egress.enabled": True,
            "monitoring.dashboard.enabled": True,
            "certificateAuthority.bundle": team.kubectl(
                "get", "configmap", AUTHORITY_CONFIG_MAP, "-o", r"jsonpath={.data.ca\.crt}"
            ),
        }
    )
    team.install(values)
    kinds = {name.partition("/")[0].partition(".")[0] for name in team.objects()}
    assert {"limitrange", "resourcequota", "cronjob", "networkpolicy", "configmap"} <= kinds


def test_rights_are_the_products_and_end_at_the_namespace(team: Team, other_team: Team) -> None:
    """Two releases of one name in two namespaces."""
    team.install()
    other_team.install()
    for each, other in ((team, other_team), (other_team, team)):
        account, neighbour = ACCOUNT.format(each.name), ACCOUNT.format(other.name)
        for right in RIGHTS:
            for verb in right.verbs:
                assert each.may(account, verb, right.name), f"{verb} {right.name}"
                assert not each.may(neighbour, verb, right.name), f"the neighbour: {verb} {right.name}"
        assert each.may(f"system:serviceaccount:{each.name}:pipeline-runner", "create", "rayjobs.ray.io")
        refused = [("get", "secrets"), ("list", "secrets"), ("create", "pods"), ("create", "pods/exec")]
        refused += [("get", "configmaps"), ("update", "roles.rbac.authorization.k8s.io"), ("get", "nodes")]
        for verb, resource in refused:
            assert not each.may(account, verb, resource), f"{verb} {resource}"


def test_helm_test_is_green_and_leaves_nothing(team: Team, site: str) -> None:
    team.install(site)
    before = team.objects()
    said = team.helm("test", "tutelage", TEST_TIMEOUT)
    assert "Phase:          Succeeded" in said
    assert "a RayJob ran to its end" in said and "a TrainJob ran to its end" in said
    assert "met 2; store: write, read, list, conditional put and delete work" in said
    team.kubectl("wait", "pods", "--all", "--for=delete", "--timeout=180s", check=False)
    assert not {name for name in team.objects() - before if not name.startswith("secret/sh.helm.release")}


def test_helm_test_says_what_is_wrong(team: Team, site: str) -> None:
    team.install(site, as_values(**{"store.root": "s3://no-such-bucket-at-all/outputs"}))
    said = team.helm("test", "tutelage", TEST_TIMEOUT, fails=True)
    assert "NoSuchBucket" in said and "create the bucket" in said
    assert "Traceback" not in said


def test_the_clean_up_runs_and_leaves_what_is_young(team: Team, site: str, storage: Storage) -> None:
    address = "train/0123456789abcdef"
    storage.client.put_object(Bucket=team.bucket, Key=f"outputs/{address}/rows.gz", Body=b"data")
    team.install(site, as_values(**{"cleanUp.enabled": True, "cleanUp.delete": True, "cleanUp.olderThanDays": 1}))
    team.kubectl("create", "job", "now", "--from=cronjob/tutelage-clean-up")
    team.kubectl("wait", "job/now", "--for=condition=Complete", "--timeout=180s")
    assert "0 unfinished addresses, 0 B, deleted" in team.kubectl("logs", "job/now")
    assert storage.client.list_objects_v2(Bucket=team.bucket, Prefix=f"outputs/{address}/")["KeyCount"] == 1


def test_the_placement_is_the_one_that_notes_say_how_to_get(team: Team) -> None:
    notes = team.install()
    (line,) = [line.strip() for line in notes.splitlines() if "kubectl get configmap" in line]
    _, *words = shlex.split(line.removesuffix(" > placement.yaml"))
    placement = Placement.model_validate(yaml.safe_load(team.cluster.kubectl(*words)))
    assert placement.pods.service_account == "tutelage"
