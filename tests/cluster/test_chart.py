"""The chart of a team's namespace on a real cluster, in namespaces that enforce restricted pods."""

import json
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from components.launch.registry import resources_used
from pipelines.placement.placement import Placement
from tests.charts.programs import EARLIER, as_values, earlier
from tests.cluster.access import AUTHORITY_CONFIG_MAP, S3_SECRET, Cluster
from tests.cluster.images import image
from tests.cluster.objects import Object, pod
from tests.cluster.storage import Storage
from tests.cluster.team import CHART, RELEASE, Team, new_team, site_values

ACCOUNT = "system:serviceaccount:{}:tutelage"
TEST_TIMEOUT = "--timeout=15m"


@pytest.fixture
def team(cluster: Cluster, storage: Storage) -> Iterator[Team]:
    """A namespace of the test."""
    with new_team(cluster, storage) as made:
        yield made


@pytest.fixture
def other_team(cluster: Cluster, storage: Storage) -> Iterator[Team]:
    """Another namespace."""
    with new_team(cluster, storage) as made:
        yield made


@pytest.fixture
def site(images: None, team: Team, storage: Storage) -> str:
    """Values with this cluster's images and store."""
    return as_values(**site_values(team, storage))


def versions(team: Team) -> set[str]:
    """The versions of the chart whose objects are in the namespace."""
    kinds = "serviceaccount,role,rolebinding,configmap,networkpolicy,trainingruntime"
    found = team.kubectl("get", kinds, "-l", f"app.kubernetes.io/instance={RELEASE}", "-o", "json")
    return {item["metadata"]["labels"]["helm.sh/chart"] for item in json.loads(found)["items"]}


def test_install_upgrade_rollback_and_uninstall_leave_nothing(team: Team, tmp_path: Path) -> None:
    before = team.objects()
    assert "helm test tutelage" in team.install(chart=earlier("tutelage", tmp_path))
    installed = team.objects()
    assert versions(team) == {f"tutelage-{EARLIER}"}
    assert {"serviceaccount/tutelage", "trainingruntime.trainer.kubeflow.org/tutelage"} <= installed
    more = as_values(**{"limitRange.enabled": True, "pods.user": 1234, "networkPolicy.egress.enabled": True})
    team.helm("upgrade", "tutelage", str(CHART), "--wait", more)
    assert len(versions(team)) == 1 and versions(team) != {f"tutelage-{EARLIER}"}
    upgraded = team.objects()
    assert "trainingruntime.trainer.kubeflow.org/tutelage-site" in upgraded and "limitrange/tutelage" in upgraded
    team.helm("rollback", "tutelage", "1", "--wait")
    assert versions(team) == {f"tutelage-{EARLIER}"}
    records = {name for name in team.objects() if "sh.helm.release" in name}
    assert len(records) == 3
    assert team.objects() - records == installed - {name for name in installed if "sh.helm.release" in name}
    team.helm("uninstall", "tutelage", "--wait", "--timeout=3m")
    assert team.objects() == before


def test_the_cluster_accepts_every_optional_object(team: Team) -> None:
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
        for right in resources_used():
            for verb in right.verbs:
                assert each.may(account, verb, right.name), f"{verb} {right.name}"
                assert not each.may(neighbour, verb, right.name), f"the neighbour: {verb} {right.name}"
        assert each.may(f"system:serviceaccount:{each.name}:pipeline-runner", "create", "rayjobs.ray.io")
        refused = [("get", "secrets"), ("list", "secrets"), ("create", "pods"), ("create", "pods/exec")]
        refused += [("get", "configmaps"), ("update", "roles.rbac.authorization.k8s.io"), ("get", "nodes")]
        for verb, resource in refused:
            assert not each.may(account, verb, resource), f"{verb} {resource}"


INTRUDER = """
import sys
import boto3
from botocore.exceptions import ClientError
from kubernetes import client, config

config.load_incluster_config()
core, other = client.CoreV1Api(), sys.argv[1]
jobs = ("ray.io", "v1", other, "rayjobs")
tries = {
    "secret": lambda: core.read_namespaced_secret("s3", other),
    "pods": lambda: core.list_namespaced_pod(other),
    "logs": lambda: core.read_namespaced_pod_log("any", other),
    "jobs": lambda: client.CustomObjectsApi().list_namespaced_custom_object(*jobs),
    "data": lambda: boto3.client("s3").list_objects_v2(Bucket=other),
    "own data": lambda: boto3.client("s3").list_objects_v2(Bucket=sys.argv[2]),
}
for what, attempt in tries.items():
    try:
        attempt()
        print(f"{what}: reached")
    except client.ApiException as error:
        print(f"{what}: {error.status}")
    except ClientError as error:
        print(f"{what}: {error.response['Error']['Code']}")
"""


def test_a_pod_reaches_nothing_of_another_teams_release(
    images: None, own_node: Cluster, team: Team, other_team: Team, storage: Storage
) -> None:
    for each in (team, other_team):
        each.install()
    storage.client.put_object(Bucket=other_team.bucket, Key="model", Body=b"data")
    team.cluster.apply(intruder(team, storage, other_team.name, team.bucket), namespace=team.name)
    team.kubectl("wait", "pod/intruder", "--for=jsonpath={.status.phase}=Succeeded", "--timeout=180s")
    said = dict(line.split(": ") for line in team.kubectl("logs", "intruder").splitlines())
    refused = dict.fromkeys(("secret", "pods", "logs", "jobs"), "403")
    assert said == {**refused, "data": "AccessDenied", "own data": "reached"}


def intruder(team: Team, storage: Storage, *arguments: str) -> Object:
    """A pod with the release's account and the team's keys that tries to reach another team's."""
    made = pod("intruder", image("launcher"))
    (container,) = made["spec"]["containers"]
    settings = {**storage.settings, "AWS_CA_BUNDLE": "/authority/ca.crt"}
    container["command"] = ["python", "-c", INTRUDER, *arguments]
    container["env"] = [{"name": name, "value": value} for name, value in settings.items()]
    container["envFrom"] = [{"secretRef": {"name": S3_SECRET}}]
    container["volumeMounts"] = [{"name": "authority", "mountPath": "/authority"}]
    container["resources"]["limits"]["memory"] = "512Mi"
    authority = {"name": "authority", "configMap": {"name": AUTHORITY_CONFIG_MAP}}
    made["spec"] |= {"serviceAccountName": RELEASE, "automountServiceAccountToken": True, "volumes": [authority]}
    return made


def test_helm_test_passes_and_leaves_nothing(team: Team, site: str) -> None:
    team.install(site)
    before = team.objects()
    said = team.helm("test", "tutelage", TEST_TIMEOUT)
    assert "Phase:          Succeeded" in said
    assert "a RayJob succeeded" in said and "a TrainJob succeeded" in said
    assert "met 2; store: write, read, list, conditional put and delete work" in said
    team.kubectl("wait", "pods", "--all", "--for=delete", "--timeout=180s", check=False)
    assert not {name for name in team.objects() - before if not name.startswith("secret/sh.helm.release")}


def test_helm_test_reports_what_is_wrong(team: Team, site: str) -> None:
    team.install(site, as_values(**{"store.root": "s3://no-such-bucket-at-all/outputs"}))
    said = team.helm("test", "tutelage", TEST_TIMEOUT, fails=True)
    assert "NoSuchBucket" in said and "create the bucket" in said
    assert "Traceback" not in said


def test_the_clean_up_runs_and_keeps_what_is_recent(team: Team, site: str, storage: Storage) -> None:
    address = "train/0123456789abcdef"
    storage.client.put_object(Bucket=team.bucket, Key=f"outputs/{address}/rows.gz", Body=b"data")
    team.install(site, as_values(**{"cleanUp.enabled": True, "cleanUp.delete": True, "cleanUp.olderThanDays": 1}))
    team.kubectl("create", "job", "now", "--from=cronjob/tutelage-clean-up")
    team.kubectl("wait", "job/now", "--for=condition=Complete", "--timeout=180s")
    assert "0 unfinished addresses, 0 B, deleted" in team.kubectl("logs", "job/now")
    assert storage.client.list_objects_v2(Bucket=team.bucket, Prefix=f"outputs/{address}/")["KeyCount"] == 1


def test_the_notes_show_how_to_get_the_placement(team: Team) -> None:
    notes = team.install()
    (line,) = [line.strip() for line in notes.splitlines() if "kubectl get configmap" in line]
    _, *words = shlex.split(line.removesuffix(" > placement.yaml"))
    placement = Placement.model_validate(yaml.safe_load(team.cluster.kubectl(*words)))
    assert placement.pods.service_account == "tutelage"
