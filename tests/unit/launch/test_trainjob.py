"""TrainJobs in the shapes of Kubeflow Trainer 2.1 and 2.2 and later, and what their status means."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from kubernetes.client import ApiException

from components.launch.api.clock import Clock
from components.launch.api.cluster import Cluster
from components.launch.follow.run_on_cluster import served_kind
from components.launch.kinds.kind import Standing
from components.launch.kinds.pytorchjob import PyTorchJobKind
from components.launch.kinds.served_schema import ServedTrainJob, served_trainjob
from components.launch.kinds.trainjob import TrainJobKind
from components.shared.errors import JobError, SettingsError
from tests.unit.launch.crd_schemas import assert_valid, crd
from tests.unit.launch.jobs import ATTEMPT, FULL_PODS, LABELS, assert_restricted, train_job, variables

PATCHES = ServedTrainJob("runtimePatches", deadline=True)
OVERRIDES = ServedTrainJob("podTemplateOverrides", deadline=False)
SHAPES = {"2.3.0": PATCHES, "2.1.0": OVERRIDES}
RUNTIME = yaml.safe_load((Path(__file__).parents[3] / "k8s/base/trainingruntime.yaml").read_text())


def pod_of(manifest: dict[str, Any]) -> Any:
    """The change of the pod template, in either shape."""
    spec = manifest["spec"]
    if "podTemplateOverrides" in spec:
        [changed] = spec["podTemplateOverrides"]
        assert changed["targetJobs"] == [{"name": "node"}]
        return changed
    [patch] = spec["runtimePatches"]
    [replicated] = patch["trainingRuntimeSpec"]["template"]["spec"]["replicatedJobs"]
    assert replicated["name"] == "node"
    return replicated["template"]["spec"]["template"]


@pytest.mark.parametrize("version", SHAPES)
def test_the_shape_is_read_from_the_served_schema(version: str) -> None:
    document = crd(f"trainjob-{version}")
    assert served_trainjob(document) == SHAPES[version]
    schema = document["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    kind = {"group": "trainer.kubeflow.org", "version": "v1alpha1", "kind": "TrainJob"}
    schemas = {
        "org.kubeflow.trainer.v1alpha1.TrainJobList": {},
        "org.kubeflow.trainer.v1alpha1.TrainJob": {**schema, "x-kubernetes-group-version-kind": [kind]},
    }
    assert served_trainjob({"openapi": "3.0.0", "components": {"schemas": schemas}}) == SHAPES[version]


@pytest.mark.parametrize("document", [{}, {"components": {"schemas": {}}}])
def test_a_cluster_without_trainjobs(document: dict[str, Any]) -> None:
    assert served_trainjob(document) is None


@pytest.mark.parametrize("version", SHAPES)
@pytest.mark.parametrize("pods", [None, FULL_PODS, {**FULL_PODS, "queue": "team-a"}])
def test_the_operators_crd_accepts_it(version: str, pods: dict[str, Any] | None) -> None:
    assert_valid(f"trainjob-{version}", TrainJobKind(SHAPES[version]).manifest(train_job(pods), ATTEMPT))


@pytest.mark.parametrize("version", SHAPES)
def test_the_crd_accepts_the_runtime(version: str) -> None:
    assert_valid(f"trainingruntime-{version}", RUNTIME)


def test_the_runtime_is_the_one_that_jobs_refer_to_and_passes_the_restricted_standard() -> None:
    [replicated] = RUNTIME["spec"]["template"]["spec"]["replicatedJobs"]
    assert replicated["template"]["metadata"]["labels"] == {"trainer.kubeflow.org/trainjob-ancestor-step": "trainer"}
    assert replicated["template"]["spec"]["backoffLimit"] == 0
    assert_restricted(replicated["template"]["spec"]["template"]["spec"])
    manifest = TrainJobKind(PATCHES).manifest(train_job(), ATTEMPT)
    assert manifest["spec"]["runtimeRef"]["name"] == RUNTIME["metadata"]["name"]
    assert replicated["name"] == "node"


@pytest.mark.parametrize("served", SHAPES.values(), ids=SHAPES)
def test_what_a_job_sets_for_its_pods(served: ServedTrainJob) -> None:
    manifest = TrainJobKind(served).manifest(train_job(FULL_PODS, processes_per_node=2), ATTEMPT)
    trainer, pod = manifest["spec"]["trainer"], pod_of(manifest)
    assert (trainer["numNodes"], trainer["numProcPerNode"]) == (2, 2)
    assert not any(name.startswith("PET_") for name in variables(trainer))  # Trainer refuses them
    assert {each["name"] for each in pod["spec"]["volumes"]} == {"shared-memory", "scratch", "certificates", "data"}
    assert pod["spec"]["nodeSelector"] == {"pool": "gpu"}
    assert "env" not in pod["spec"]["containers"][0]  # Trainer refuses it there
    name, _, value = TrainJobKind(served).pod_selector(train_job()).partition("=")
    assert pod["metadata"]["labels"].items() >= {**LABELS, name: value}.items()


def test_a_deadline_where_there_is_one() -> None:
    job = train_job(timeout_seconds=100, start_seconds=20)
    assert TrainJobKind(PATCHES).manifest(job, ATTEMPT)["spec"]["activeDeadlineSeconds"] == 120
    assert "activeDeadlineSeconds" not in TrainJobKind(OVERRIDES).manifest(job, ATTEMPT)["spec"]


@pytest.mark.parametrize(
    ("served", "pods", "refused"),
    [
        (PATCHES, {"priority_class": "high"}, True),
        (PATCHES, {"image_pull_policy": "Always"}, True),
        (PATCHES, {"user": 2000}, False),
        (OVERRIDES, {"user": 2000}, True),
    ],
)
def test_what_only_a_runtime_can_set_is_refused_rather_than_dropped(
    served: ServedTrainJob, pods: dict[str, Any], refused: bool
) -> None:
    kind, given = TrainJobKind(served), {**FULL_PODS, **pods}
    if refused:
        with pytest.raises(SettingsError, match=next(iter(pods))):
            kind.manifest(train_job(given), ATTEMPT)
    else:
        assert pod_of(kind.manifest(train_job(given), ATTEMPT))["spec"]["securityContext"]["runAsUser"] == 2000
    own = train_job(given, training_runtime="ours")
    assert kind.manifest(own, ATTEMPT)["spec"]["runtimeRef"]["name"] == "ours"


def resource(conditions: list[dict[str, str]], suspend: bool = False, ready: int = 0) -> dict[str, Any]:
    jobs = [{"name": "node", "ready": ready, "active": 1, "succeeded": 0, "failed": 0, "suspended": 0}]
    return {"spec": {"suspend": suspend}, "status": {"conditions": conditions, "jobsStatus": jobs}}


FAILED = {"type": "Failed", "status": "True", "reason": "FailedJobs", "message": "jobset failed"}


@pytest.mark.parametrize(
    ("found", "standing"),
    [
        ({"spec": {}}, Standing("starting")),
        (resource([], suspend=True), Standing("queued")),
        (resource([{"type": "Suspended", "status": "False"}]), Standing("starting")),
        (resource([], ready=1), Standing("running")),
        (resource([FAILED]), Standing("failed", "FailedJobs", "jobset failed")),
        (resource([FAILED], suspend=True), Standing("failed", "FailedJobs", "jobset failed")),
        (resource([{"type": "Complete", "status": "True"}]), Standing("succeeded")),
    ],
)
def test_standing(found: dict[str, Any], standing: Standing) -> None:
    assert TrainJobKind(PATCHES).standing(found) == standing


def test_the_log_is_that_of_node_0() -> None:
    def pod(job: str, index: str) -> dict[str, Any]:
        labels = {"jobset.sigs.k8s.io/replicatedjob-name": job}
        return {"metadata": {"labels": labels, "annotations": {"batch.kubernetes.io/job-completion-index": index}}}

    kind = TrainJobKind(PATCHES)
    assert [kind.is_main(each) for each in (pod("node", "0"), pod("node", "1"), pod("other", "0"))] == [
        True,
        False,
        False,
    ]
    assert [kind.node_of(each) for each in (pod("node", "0"), pod("node", "12"), pod("other", "0"))] == [0, 12, None]


class StatusClient:
    """A client whose server answers every request with one status."""

    def __init__(self, status: int) -> None:
        self.status = status
        self.asked: list[str] = []

    def call_api(self, path: str, method: str, **_: Any) -> None:
        self.asked.append(path)
        raise ApiException(status=self.status, reason="no")


def cluster_answering(status: int) -> tuple[Cluster, StatusClient]:
    client = StatusClient(status)
    return Cluster("team", lambda: client), client  # type: ignore[arg-type, return-value]


def test_a_cluster_without_trainer_gets_a_pytorchjob_and_logs_it(capsys: pytest.CaptureFixture[str]) -> None:
    cluster, client = cluster_answering(404)
    assert isinstance(served_kind(cluster, "TrainJob", Clock()), PyTorchJobKind)
    assert "running a PyTorchJob instead" in capsys.readouterr().err
    # system:discovery lets every authenticated account read it; a CustomResourceDefinition would need a ClusterRole.
    assert client.asked == ["/openapi/v3/apis/trainer.kubeflow.org/v1alpha1"]


def test_a_refusal_does_not_mean_a_cluster_without_trainer() -> None:
    cluster, _ = cluster_answering(403)
    with pytest.raises(JobError, match="refuses"):
        served_kind(cluster, "TrainJob", Clock())
