"""What `helm test` tries. The client is the real one, the API server a stand-in; jobs are inspected, not run."""

import json
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import packages_distributions, requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from components.launch.job import Job
from components.shared.errors import JobError, SettingsError
from components.shared.finding import Finding
from pipelines.doctor import try_cluster
from tests.unit.pipelines.stand_in import Request, served
from tests.unit.pipelines.test_doctor_cluster import Answer, Kubernetes

IMPORTED = """
import sys
import pipelines.doctor.try_cluster, components.clean_up.unfinished
import components.launch.kinds.rayjob, components.launch.kinds.trainjob, components.launch.kinds.jobset
import components.shared.store.s3
print(*{name.partition(".")[0] for name in sys.modules})
"""
PLACEMENT = """
image: train:1
images: {synthesize: "launcher:1", train: "launcher:1"}
pods:
  service_account: tutelage
  secrets: {AWS_ACCESS_KEY_ID: {secret: s3, key: access-key}}
  environment: {AWS_ENDPOINT_URL: https://s3.example.org}
jobs:
  synthesize: {launcher: RayJob, nodes: 9, pods: {image: "ray:1", gpus: 8, memory: 256Gi, queue: team}}
  train: {launcher: TrainJob, training_runtime: own, processes_per_node: 8, pods: {image: "train:1", gpus: 8}}
"""


class Cluster(Kubernetes):
    """Remembers which jobs were deleted."""

    def __call__(self, request: Request) -> Answer:
        if request.method == "DELETE":
            self.deleted.append(request.path.rpartition("/namespaces/")[2])
            return 200, {}
        return super().__call__(request)


def needed_by(package: str, seen: set[str]) -> set[str]:
    """A package and all that it brings, as the launcher's image has them: without extras."""
    name = canonicalize_name(package)
    if name in seen:
        return seen
    seen.add(name)
    for text in requires(package) or []:
        wanted = Requirement(text)
        if wanted.marker is None or wanted.marker.evaluate({"extra": ""}):
            needed_by(wanted.name, seen)
    return seen


def test_the_launchers_image_has_all_that_it_imports() -> None:
    done = subprocess.run([sys.executable, "-c", IMPORTED], capture_output=True, text=True, check=True, timeout=600)
    packages = packages_distributions()
    imported = {canonicalize_name(packages[name][0]) for name in done.stdout.split() if name in packages}
    assert "tutelage" in imported and "kubernetes" in imported
    # Optional: the importing package works without it.
    optional = {"blinker", "chardet", "setuptools"}
    assert imported - needed_by("tutelage", set()) <= optional


@pytest.fixture
def cluster() -> Cluster:
    return Cluster(login="system:serviceaccount:team:tutelage")


@pytest.fixture
def jobs(monkeypatch: pytest.MonkeyPatch) -> list[Job]:
    """The jobs that would have been run."""
    ran: list[Job] = []
    monkeypatch.setattr(try_cluster, "run_job", ran.append)
    return ran


@pytest.fixture(autouse=True)
def reached(cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A kubeconfig that names the stand-in."""
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    with served(cluster) as url:
        config = {
            "clusters": [{"name": "c", "cluster": {"server": url}}],
            "users": [{"name": "u", "user": {"token": "t"}}],
            "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u", "namespace": "team"}}],
            "current-context": "x",
        }
        (tmp_path / "kubeconfig").write_text(json.dumps(config))
        monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
        yield


def tried(folder: Path, store: str = "", placement: str = PLACEMENT) -> dict[str, Finding]:
    (folder / "placement.yaml").write_text(placement)
    found = try_cluster.try_cluster(try_cluster.read_placement(folder / "placement.yaml"), store, 60.0)
    return {finding.what: finding for finding in found}


def test_of_jobs_with_the_same_settings_one_is_run(tmp_path: Path, jobs: list[Job]) -> None:
    placement = PLACEMENT.replace("synthesize: {launcher: RayJob", "synthesize: &ray {launcher: RayJob")
    found = tried(
        tmp_path, placement=placement + "  probe: *ray\n  bridge: {launcher: RayJob, pods: {image: other:1}}\n"
    )
    assert [job.name.rpartition("-")[0] for job in jobs] == ["try-synthesize", "try-train", "try-bridge"]
    assert found["job of probe"].good and "like that of synthesize: a RayJob succeeded" in found["job of probe"].text


def test_all_is_tried_with_what_the_placement_says_but_small(tmp_path: Path, jobs: list[Job], cluster: Cluster) -> None:
    store = str(tmp_path / "store")
    found = tried(tmp_path, store)
    assert [finding for finding in found.values() if not finding.good] == []
    assert "conditional put" in found["store"].text
    ray, train = jobs
    assert (ray.launch.launcher, train.launch.launcher) == ("RayJob", "TrainJob")
    assert (ray.program, train.program) == ("ray", "torchrun")
    assert train.launch.training_runtime == "own" and ray.launch.pods.queue == "team"
    for job, image in ((ray, "ray:1"), (train, "train:1")):
        pods = job.launch.pods
        assert (pods.image, pods.gpus, pods.memory, job.launch.processes_per_node) == (image, 0, "2Gi", 1)
        assert pods.service_account == "tutelage" and pods.secrets["AWS_ACCESS_KEY_ID"].secret == "s3"
        assert pods.environment["AWS_ENDPOINT_URL"] == "https://s3.example.org"
        assert job.arguments == (store,) and job.launch.start_seconds == 60.0
    assert cluster.deleted == [f"team/rayjobs/{ray.name}", f"team/trainjobs/{train.name}"], "nothing is left"


def test_what_is_not_served_is_reported_and_skipped(tmp_path: Path, jobs: list[Job], cluster: Cluster) -> None:
    del cluster.groups["ray.io"]
    cluster.missing_verbs = {("create", "rayjobs"), ("list", "rayjobs")}
    found = tried(tmp_path)
    assert all(finding.good for finding in found.values())
    assert "RayJob is not served" in found["job of synthesize"].text
    assert "right to rayjobs.ray.io" not in found, "the chart's Role does not have it"
    assert "skipped" in found["store"].text
    assert [job.launch.launcher for job in jobs] == ["TrainJob"]


def test_without_trainer_training_is_a_pytorchjob(tmp_path: Path, jobs: list[Job], cluster: Cluster) -> None:
    del cluster.groups["trainer.kubeflow.org"]
    cluster.groups["kubeflow.org"] = ["pytorchjobs"]
    assert "PyTorchJob succeeded" in tried(tmp_path)["job of train"].text
    assert jobs[1].launch.launcher == "PyTorchJob"


def test_groups_are_tried_with_one_small_pod_each(tmp_path: Path, jobs: list[Job], cluster: Cluster) -> None:
    cluster.groups["jobset.x-k8s.io"], cluster.versions["jobset.x-k8s.io"] = ["jobsets"], "v1alpha2"
    groups = "[{nodes: 4, accelerator: H100, node_selector: {gpu: h100}}, {nodes: 9, accelerator: A10}]"
    train = f"  train: {{launcher: JobSet, processes_per_node: 8, groups: {groups}, pods: {{image: 'train:1'}}}}\n"
    placement = "".join(PLACEMENT.splitlines(keepends=True)[:-1]) + train
    assert "JobSet succeeded" in tried(tmp_path, placement=placement)["job of train"].text
    first, second = jobs[1].launch.equal_nodes
    assert (first.nodes, first.processes_per_node, first.pods.gpus, first.pods.memory) == (1, 1, 0, "2Gi")
    assert first.pods.node_selector == {"gpu": "h100"} and (second.nodes, second.pods.gpus) == (1, 0)
    assert f"team/jobsets/jobset-{jobs[1].name}" in cluster.deleted


def test_a_missing_right_and_a_refusing_store_are_faults(tmp_path: Path, jobs: list[Job], cluster: Cluster) -> None:
    cluster.missing_verbs = {("create", "trainjobs")}
    (tmp_path / "file").write_text("")
    found = tried(tmp_path, str(tmp_path / "file" / "x"))
    assert "may not create" in found["right to trainjobs.trainer.kubeflow.org"].text
    assert not found["store"].good and found["store"].remedy


def test_a_job_that_fails_is_reported_with_its_remedy_and_deleted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cluster: Cluster, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(job: Job) -> None:
        raise JobError(f"{job.name}: OOMKilled", remedy="more memory")

    monkeypatch.setattr(try_cluster, "run_job", fail)
    (tmp_path / "placement.yaml").write_text(PLACEMENT)
    assert try_cluster.main(["--placement", str(tmp_path / "placement.yaml")]) == 1
    said = capsys.readouterr().out
    assert "!! job of train: TrainJob: try-train-" in said and "do: more memory" in said
    assert len(cluster.deleted) == 2


def test_a_local_launcher_has_no_job(tmp_path: Path, jobs: list[Job]) -> None:
    assert "step's own pod" in tried(tmp_path, placement="image: train:1\n")["job of train"].text
    assert jobs == []


def test_a_wrong_placement_names_the_key(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="imagine"):
        tried(tmp_path, placement="imagine: x\n")
    assert try_cluster.main(["--placement", "/nowhere.yaml"]) == 2
