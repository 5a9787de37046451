"""A RayJob that KubeRay 1.6 runs in a restricted namespace, and what its status means."""

import tomllib
from pathlib import Path
from typing import Any

import pytest

from components.launch.kinds.kind import Standing
from components.launch.kinds.rayjob import RAY_VERSION, RayJobKind
from components.shared.errors import SettingsError
from tests.unit.launch.crd_schemas import assert_valid
from tests.unit.launch.jobs import ATTEMPT, FULL_PODS, LABELS, assert_restricted, ray_job, variables

KIND = RayJobKind()


def templates(manifest: dict[str, Any]) -> dict[str, dict[str, Any]]:
    cluster = manifest["spec"]["rayClusterSpec"]
    return {
        "submitter": manifest["spec"]["submitterPodTemplate"],
        "head": cluster["headGroupSpec"]["template"],
        "worker": cluster["workerGroupSpecs"][0]["template"],
    }


@pytest.mark.parametrize("pods", [None, FULL_PODS, {**FULL_PODS, "queue": "team-a"}])
def test_the_operators_crd_accepts_it(pods: dict[str, Any] | None) -> None:
    assert_valid("rayjob-1.6.0", KIND.manifest(ray_job(pods), ATTEMPT))


@pytest.mark.parametrize("role", ["submitter", "head", "worker"])
def test_every_pod_passes_the_restricted_standard_and_has_our_labels(role: str) -> None:
    template = templates(KIND.manifest(ray_job(FULL_PODS), ATTEMPT))[role]
    assert_restricted(template["spec"])
    name, _, value = KIND.pod_selector(ray_job()).partition("=")
    assert template["metadata"]["labels"].items() >= {**LABELS, name: value}.items()
    assert KIND.is_main({"metadata": template["metadata"]}) == (role == "submitter")


def test_the_driver_and_the_workers_have_the_environment_and_the_submitter_no_secret() -> None:
    found = templates(KIND.manifest(ray_job(FULL_PODS, environment={"X": "1"}), ATTEMPT))
    for role in ("head", "worker"):
        environment = variables(found[role]["spec"]["containers"][0])
        assert environment["X"] == "1"
        assert environment["AWS_ENDPOINT_URL"] == "https://s3.example"
        assert "secretKeyRef" in environment["AWS_SECRET_ACCESS_KEY"]
        assert "RAY_ADDRESS" not in environment  # KubeRay's to set
    submitter = found["submitter"]["spec"]
    assert "store" not in str(submitter)
    assert submitter["containers"][0]["resources"]["requests"]["cpu"] == "50m"


def test_workers_have_the_resources_of_actors_and_the_head_has_none() -> None:
    manifest = KIND.manifest(ray_job(FULL_PODS, nodes=3, processes_per_node=2, cpus_per_process=2), ATTEMPT)
    head = manifest["spec"]["rayClusterSpec"]["headGroupSpec"]
    [workers] = manifest["spec"]["rayClusterSpec"]["workerGroupSpecs"]
    assert head["rayStartParams"]["num-cpus"] == "0"
    assert "nvidia.com/gpu" not in head["template"]["spec"]["containers"][0]["resources"]["limits"]
    assert (workers["replicas"], workers["minReplicas"], workers["maxReplicas"]) == (3, 3, 3)
    assert workers["rayStartParams"]["num-cpus"] == "4"
    assert workers["template"]["spec"]["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] == "2"


@pytest.mark.parametrize(("memory", "store"), [("8Gi", 200 * 2**20), ("256Mi", 128 * 2**20 * 4 // 5)])
def test_the_object_store_fits_into_shared_memory(memory: str, store: int) -> None:
    pods = {"image": "x", "memory": memory}
    [workers] = KIND.manifest(ray_job(pods), ATTEMPT)["spec"]["rayClusterSpec"]["workerGroupSpecs"]
    assert workers["rayStartParams"]["object-store-memory"] == str(store)


def test_the_ray_cluster_requires_a_token() -> None:
    cluster = KIND.manifest(ray_job(), ATTEMPT)["spec"]["rayClusterSpec"]
    assert cluster["authOptions"] == {"mode": "token"}
    assert cluster["rayVersion"]


def test_gpus_are_freed_soon_after_the_end_and_nothing_restarts() -> None:
    spec = KIND.manifest(ray_job(timeout_seconds=100, start_seconds=20), ATTEMPT)["spec"]
    assert (spec["backoffLimit"], spec["activeDeadlineSeconds"]) == (0, 120)
    assert (spec["shutdownAfterJobFinishes"], spec["ttlSecondsAfterFinished"]) == (True, 60)


def test_the_pinned_version_is_that_of_the_lock() -> None:
    project = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text())["project"]
    assert f"ray[default]=={RAY_VERSION}" in project["optional-dependencies"]["synthesis"]


def test_an_argument_that_two_shells_would_change_is_refused() -> None:
    job = ray_job().model_copy(update={"arguments": ("--job", "s3://bucket/my runs/job.json")})
    with pytest.raises(SettingsError, match="my runs"):
        KIND.manifest(job, ATTEMPT)


def resource(deployment: str, driver: str = "", suspend: bool = False, **status: str) -> dict[str, Any]:
    return {"spec": {"suspend": suspend}, "status": {"jobDeploymentStatus": deployment, "jobStatus": driver, **status}}


@pytest.mark.parametrize(
    ("found", "standing"),
    [
        ({"spec": {}}, Standing("starting")),
        ({"spec": {"suspend": True}}, Standing("queued")),
        (resource("Suspended", suspend=True), Standing("queued")),
        (resource("Suspending"), Standing("queued")),
        (resource("Initializing"), Standing("starting")),
        (resource("Running"), Standing("starting")),
        (resource("Running", "PENDING"), Standing("starting")),
        (resource("Running", "RUNNING"), Standing("running")),
        (resource("Running", "SUCCEEDED"), Standing("running")),
        (resource("Complete", "SUCCEEDED"), Standing("succeeded")),
        (resource("Complete", "STOPPED", message="by hand"), Standing("failed", "STOPPED", "by hand")),
        (
            resource("Failed", "FAILED", reason="AppFailed", message="exit code 2"),
            Standing("failed", "AppFailed", "exit code 2"),
        ),
        (resource("Failed", "RUNNING", reason="DeadlineExceeded"), Standing("failed", "DeadlineExceeded")),
        (
            resource("ValidationFailed", reason="ValidationFailed", message="x"),
            Standing("failed", "ValidationFailed", "x"),
        ),
    ],
)
def test_standing(found: dict[str, Any], standing: Standing) -> None:
    assert KIND.standing(found) == standing
