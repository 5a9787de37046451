"""What each overlay changes of `k8s/base`, and nothing else."""

from pathlib import Path
from typing import Any

import pytest

from components.launch.registry import LAUNCHERS
from components.registry import STEPS
from pipelines.recipe.read_recipe import read_recipe
from tests.manifests.render import Object, kustomized
from tests.manifests.shipped import K8S, PIPELINES, PLACEMENTS, name_of

RECOMMENDED = {f"app.kubernetes.io/{word}" for word in ("name", "instance", "part-of", "version", "managed-by")}
DEMO = PIPELINES / "recipes" / "demo.yaml"
AIR_GAPPED = K8S / "overlays" / "air-gapped" / "placement.yaml"


def by_name(objects: list[Object]) -> dict[tuple[str, str], Object]:
    """Objects by kind and name."""
    return {(each["kind"], each["metadata"]["name"]): each for each in objects}


def pod_of(objects: list[Object]) -> dict[str, Any]:
    """The pods' spec in the runtime."""
    runtime = by_name(objects)["TrainingRuntime", "tutelage"]
    [node] = runtime["spec"]["template"]["spec"]["replicatedJobs"]
    spec: dict[str, Any] = node["template"]["spec"]["template"]["spec"]
    return spec


def changes(overlay: str) -> tuple[list[Object], dict[str, Any], set[tuple[str, str]]]:
    """An overlay's objects, what it changes of the runtime's pods, and the objects that it adds."""
    base, built = kustomized(K8S / "base"), kustomized(K8S / "overlays" / overlay)
    before, after = pod_of(base), pod_of(built)
    assert before.items() <= after.items(), "an overlay only adds to the runtime's pods"
    added = {name: value for name, value in after.items() if name not in before}
    return built, added, by_name(built).keys() - by_name(base).keys()


def test_every_object_of_base_has_the_recommended_labels() -> None:
    objects = kustomized(K8S / "base")
    assert len(objects) == 4
    for each in objects:
        assert set(each["metadata"]["labels"]) >= RECOMMENDED, each["kind"]


def test_gpu() -> None:
    _, added, new = changes("gpu")
    assert added == {
        "nodeSelector": {"nvidia.com/gpu.present": "true"},
        "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}],
        "priorityClassName": "tutelage-training",
    }
    assert new == {("PriorityClass", "tutelage-training")}


def test_openshift() -> None:
    built, added, new = changes("openshift")
    assert added == {"serviceAccountName": "tutelage"}
    assert new == {("RoleBinding", "tutelage-nonroot")}
    granted = by_name(built)["RoleBinding", "tutelage-nonroot"]
    assert granted["roleRef"]["name"] == "system:openshift:scc:nonroot-v2"
    steps = by_name(built)["RoleBinding", "tutelage-steps"]
    assert granted["subjects"] == steps["subjects"], "who may run steps may run pods as their user, and nobody else"


def test_air_gapped() -> None:
    built, added, new = changes("air-gapped")
    assert added == {"serviceAccountName": "tutelage"}
    assert not new
    assert by_name(built)["ServiceAccount", "tutelage"]["imagePullSecrets"] == [{"name": "tutelage-registry"}]


@pytest.mark.parametrize("placement", PLACEMENTS, ids=name_of)
def test_a_placement_fits_a_recipe(placement: Path) -> None:
    recipe = read_recipe(DEMO, store="s3://tutelage/demo", placement=placement, for_cluster=True)
    assert recipe.placement.jobs["train"].launcher == "TrainJob"


@pytest.mark.parametrize("placement", PLACEMENTS, ids=name_of)
def test_a_placement_has_a_job_for_every_step_that_can_run_one(placement: Path) -> None:
    """Without an entry the step would do the job's work in its own pod, which has the requests of one that waits."""
    shipped = read_recipe(DEMO, store="s3://tutelage/demo", placement=placement, for_cluster=True).placement
    for step in (step for step in STEPS.values() if step.program):
        launcher = LAUNCHERS[shipped.jobs[step.name].launcher]
        assert launcher.on_cluster and step.program in launcher.programs, step.name
        assert shipped.image_of(step.name) != shipped.jobs[step.name].pods.image, "the pod that follows a job is thin"


def test_nothing_of_the_air_gapped_placement_comes_from_elsewhere() -> None:
    recipe = read_recipe(
        DEMO, {"registry": "mirror.site"}, store="s3://tutelage/demo", placement=AIR_GAPPED, for_cluster=True
    )
    placement = recipe.placement
    images = [placement.image, *placement.images.values(), *(job.pods.image for job in placement.jobs.values())]
    assert all(image.startswith("mirror.site/") for image in images)
