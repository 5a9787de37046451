"""The chart of a team's namespace: lint, its own unit tests, its README, refusals, and whether it fits the code."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from components.launch.api.resources import Object
from components.launch.groups import GroupPods, NodeGroup
from components.launch.job import Job, Launch
from components.launch.kinds.kind import Identity, JobAttempt
from components.launch.kinds.rayjob import RayJobKind
from components.launch.kinds.served_schema import ServedTrainJob
from components.launch.kinds.trainjob import SHIPPED_RUNTIME, TrainJobKind
from components.launch.pods import Pods
from components.launch.registry import resources_used
from components.registry import STEPS
from pipelines.kubeflow.compile_pipeline import compile_pipeline
from pipelines.pipeline import Recipe
from pipelines.placement.placement import Placement, TaskPlacement
from pipelines.recipe.move_jobs import move_jobs
from pipelines.recipe.read_recipe import read_recipe
from pipelines.registry import tasks_of
from tests.charts.programs import CHARTS, as_values, ci_values, refusal, template

ROOT = CHARTS.parent
CHART = CHARTS / "tutelage"
QWEN = ROOT / "pipelines" / "recipes" / "qwen2-0.5b-8gpu.yaml"
CI = [pytest.param(f"--values={path}", id=path.name.removesuffix("-values.yaml")) for path in ci_values("tutelage")]
GPU = "--values=tutelage/ci/gpu-values.yaml"
AIR_GAPPED = "--values=tutelage/ci/air-gapped-values.yaml"
ALL_OPERATORS = tuple(
    f"--set=operators.{name}=enabled" for name in ("kuberay", "trainer", "trainingOperator", "jobset")
)
SERVED = (
    *("ray.io/v1/RayJob", "trainer.kubeflow.org/v1alpha1/TrainJob", "kubeflow.org/v1/PyTorchJob"),
    "jobset.x-k8s.io/v1alpha2/JobSet",
)
RESTRICTED = {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}
NAMESPACED = {
    *("ConfigMap", "CronJob", "ExternalSecret", "LimitRange", "LocalQueue", "NetworkPolicy", "Pod", "PodMonitor"),
    *("ResourceQuota", "Role", "RoleBinding", "ServiceAccount", "TrainingRuntime"),
}


def rendered(*arguments: str, release: str = "tutelage") -> list[Object]:
    return template("tutelage", *arguments, release=release, namespace="team")


def of_kind(objects: list[Object], kind: str, ending: str = "") -> Object:
    (found,) = [one for one in objects if one["kind"] == kind and one["metadata"]["name"].endswith(ending)]
    return found


def placement_of(objects: list[Object], folder: Path) -> Path:
    """The file that `kubectl get configmap … -o jsonpath` would write."""
    path = folder / "placement.yaml"
    path.write_text(of_kind(objects, "ConfigMap", "-placement")["data"]["placement.yaml"])
    return path


def recipe_with(objects: list[Object], folder: Path) -> Recipe:
    """A recipe with the chart's placement, as `tutelage submit` reads it."""
    placement = placement_of(objects, folder)
    return read_recipe(QWEN, store="s3://team/x", placement=placement, check_files=False, for_cluster=True)


def manifests_of(recipe: Recipe) -> list[Object]:
    """The RayJob and the TrainJobs that the recipe's steps would make."""
    moved, attempt = move_jobs(recipe), JobAttempt(Identity("team", run="r"))
    launches = [(task.step.program, task.launch) for task in tasks_of(moved) if task.launch is not None]
    trainjob = TrainJobKind(ServedTrainJob("runtimePatches", deadline=True))
    kinds: dict[str, Any] = {"RayJob": RayJobKind(), "TrainJob": trainjob}
    jobs = [Job(name="j", program=program, module="m", launch=launch) for program, launch in launches]
    return [kinds[job.launch.launcher].manifest(job, attempt) for job in jobs if job.launch.launcher in kinds]


def granted(objects: list[Object]) -> set[tuple[str, str, str]]:
    rules = of_kind(objects, "Role")["rules"]
    return {(g, r, v) for rule in rules for g in rule["apiGroups"] for r in rule["resources"] for v in rule["verbs"]}


@pytest.mark.parametrize(
    ("values", "words"),
    [
        pytest.param({"store.rot": "s3://a/b"}, "additional properties 'rot'", id="an unknown key"),
        pytest.param({"stor": {}}, "additional properties 'stor'", id="an unknown key at the top"),
        pytest.param({"global.registry": "x"}, "additional properties 'registry'", id="an unknown global"),
        pytest.param({"placement.jobs.train.node": 2}, "additional properties 'node'", id="an unknown key of a job"),
        pytest.param({"pods.user": "root"}, "'/pods/user': got string, want integer", id="a wrong type"),
        pytest.param({"pods.user": 0}, "'/pods/user'", id="root"),
        pytest.param({"rbac.serviceAccounts": ["a"]}, "'/rbac/serviceAccounts/0': got string", id="a name alone"),
        pytest.param({"operators.trainer": True}, "'/operators/trainer'", id="true for an operator"),
        pytest.param({"images.pullPolicy": "always"}, "'Always', 'IfNotPresent', 'Never'", id="a policy of pulling"),
        pytest.param({"images.ray.digest": "latest"}, "'/images/ray/digest'", id="a digest that is none"),
        pytest.param({"store.root": "team/x"}, "'/store/root'", id="a store that is not a bucket"),
        pytest.param({"store.endpoint": "https://user:pass@s3"}, "'/store/endpoint'", id="a password in a URL"),
        pytest.param({"certificateAuthority.bundle": "ca.pem"}, "'/certificateAuthority/bundle'", id="a file's name"),
        pytest.param({"cleanUp.olderThanDays": 0}, "'/cleanUp/olderThanDays'", id="a clean-up of what is at work"),
        pytest.param({"placement.jobs.train.launcher": "Trainjob"}, "'local', 'RayJob', 'TrainJob'", id="a launcher"),
        pytest.param({"cleanUp.enabled": True}, "set store.root to s3://BUCKET/PREFIX", id="a clean-up of nothing"),
        pytest.param(
            {"certificateAuthority.configMap": "a", "certificateAuthority.secret": "b"},
            "exclude each other",
            id="two authorities",
        ),
    ],
)
def test_what_is_wrong_is_refused_by_its_name(values: dict[str, Any], words: str) -> None:
    assert words in refusal("tutelage", as_values(**values))


def objects_in(schema: Any) -> Iterator[dict[str, Any]]:
    """Every schema of an object, however deep."""
    if isinstance(schema, dict):
        if schema.get("type") == "object":
            yield schema
        for value in schema.values():
            yield from objects_in(value)
    if isinstance(schema, list):
        for value in schema:
            yield from objects_in(value)


def test_the_schema_lets_no_unknown_key_pass() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())
    open_ones = [one for one in objects_in(schema) if one.get("additionalProperties", True) is True]
    assert [one.get("$comment", "") for one in open_ones] == ["volumes of any kind, which the API server checks"]


def test_the_schema_knows_every_word_of_a_placement() -> None:
    definitions = json.loads((CHART / "values.schema.json").read_text())["$defs"]
    for name, model in (("task", TaskPlacement), ("job", Launch), ("nodeGroup", NodeGroup), ("podsOfJob", Pods)):
        assert set(definitions[name]["properties"]) == set(model.model_fields)
    assert set(definitions["nodeGroup"]["properties"]["pods"]["properties"]) == set(GroupPods.model_fields)
    schema = json.loads((CHART / "values.schema.json").read_text())
    assert set(schema["properties"]["placement"]["properties"]["tasks"]["properties"]) == {"default", *STEPS}


def test_the_chart_knows_the_steps() -> None:
    declared = {step.name: {"image": step.image.value, "program": step.program} for step in STEPS.values()}
    file = CHART / "files" / "steps.json"
    if os.environ.get("TUTELAGE_UPDATE_GOLDEN"):
        file.write_text(json.dumps(declared, indent=2) + "\n")
    assert json.loads(file.read_text()) == declared, "TUTELAGE_UPDATE_GOLDEN=1 writes it"
    placement = yaml.safe_load((CHART / "values.yaml").read_text())["placement"]
    assert placement["jobs"].keys() == {step.name for step in STEPS.values() if step.program}
    assert placement["tasks"].keys() <= {"default", *STEPS}


def test_the_role_is_what_the_code_asks_for() -> None:
    wanted = {(right.group, right.plural, verb) for right in resources_used() for verb in right.verbs}
    assert granted(rendered(*ALL_OPERATORS)) == wanted


@pytest.mark.parametrize("left_out", SERVED)
def test_rights_are_those_of_what_is_installed(left_out: str) -> None:
    group = left_out.partition("/")[0]
    wanted = {
        (right.group, right.plural, verb) for right in resources_used() for verb in right.verbs if right.group != group
    }
    assert granted(rendered(*(f"--api-versions={kind}" for kind in SERVED if kind != left_out))) == wanted


@pytest.mark.parametrize("values", CI)
def test_nothing_reaches_beyond_the_namespace(values: str) -> None:
    objects = rendered(values)
    assert {one["kind"] for one in objects} <= NAMESPACED
    text = json.dumps(objects)
    assert '"*"' not in text and "ClusterRole" not in text and '"Secret"' not in text
    assert all(one["metadata"].get("namespace", "team") == "team" for one in objects)


def test_the_runtime_is_that_of_the_plain_manifests() -> None:
    shipped = yaml.safe_load((ROOT / "k8s" / "base" / "trainingruntime.yaml").read_text())
    charted = of_kind(rendered(*ALL_OPERATORS), "TrainingRuntime")
    assert charted["spec"] == shipped["spec"]
    assert charted["metadata"]["name"] == shipped["metadata"]["name"] == SHIPPED_RUNTIME
    assert shipped["metadata"]["labels"].items() <= charted["metadata"]["labels"].items()


@pytest.mark.parametrize("values", CI)
def test_the_placement_is_one_that_a_recipe_can_be_submitted_with(values: str, tmp_path: Path) -> None:
    objects = rendered(values)
    recipe = recipe_with(objects, tmp_path)
    compile_pipeline(recipe, tmp_path / "pipeline.yaml")
    runtime = of_kind(objects, "TrainingRuntime")["metadata"]["name"]
    made = manifests_of(recipe)
    assert {one["kind"] for one in made} >= {"RayJob", "TrainJob"}
    assert {one["spec"]["runtimeRef"]["name"] for one in made if one["kind"] == "TrainJob"} == {runtime}


def test_a_changed_runtime_carries_what_a_trainjob_cannot(tmp_path: Path) -> None:
    """The code refuses these settings together with the runtime that it takes for the shipped one."""
    changed = as_values(**{"pods.priorityClassName": "high", "pods.user": 1234, "images.pullPolicy": "Always"})
    objects = rendered(*ALL_OPERATORS, changed)
    recipe = recipe_with(objects, tmp_path)
    assert (recipe.placement.pods.priority_class, recipe.placement.pods.user) == ("high", 1234)
    assert manifests_of(recipe), "nothing is refused"
    (job,) = of_kind(objects, "TrainingRuntime")["spec"]["template"]["spec"]["replicatedJobs"]
    pod = job["template"]["spec"]["template"]["spec"]
    assert pod["priorityClassName"] == "high" and pod["containers"][0]["imagePullPolicy"] == "Always"


def test_the_placement_names_what_the_chart_and_the_site_have(tmp_path: Path) -> None:
    objects = rendered(AIR_GAPPED)
    placement = Placement.model_validate(yaml.safe_load(placement_of(objects, tmp_path).read_text()))
    pods = placement.pods
    assert pods.service_account == of_kind(objects, "ServiceAccount")["metadata"]["name"]
    assert pods.certificate_authority is not None
    authority = of_kind(objects, "ConfigMap", "-certificates")
    assert pods.certificate_authority.config_map == authority["metadata"]["name"]
    assert pods.certificate_authority.key in authority["data"]
    made = {one["spec"]["target"]["name"]: one for one in objects if one["kind"] == "ExternalSecret"}
    for secret in pods.secrets.values():
        assert secret.key in {item["secretKey"] for item in made[secret.secret]["spec"]["data"]}
    assert pods.environment["AWS_ENDPOINT_URL"] == "https://s3.example.org:9000"
    assert pods.image_pull_secrets == ("mirror-login",)


def test_jobs_wait_in_the_queue_that_the_chart_makes(tmp_path: Path) -> None:
    objects = rendered(GPU)
    placement = Placement.model_validate(yaml.safe_load(placement_of(objects, tmp_path).read_text()))
    queue = of_kind(objects, "LocalQueue")["metadata"]["name"]
    assert {job.pods.queue for job in placement.jobs.values()} == {queue}


def images_of(objects: list[Object]) -> list[str]:
    command = [sys.executable, "-m", "pipelines.cli.main", "images"]
    done = subprocess.run(
        command, input=yaml.safe_dump_all(objects), capture_output=True, text=True, cwd=ROOT, timeout=600
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


IMAGES = ("launcher", "ray-vllm", "ray", "train-vllm", "train")


def test_one_list_has_every_image_and_one_value_moves_them_all() -> None:
    version = yaml.safe_load((CHART / "Chart.yaml").read_text())["appVersion"]
    digests = {name: digit * 64 for name, digit in zip(IMAGES, "14352", strict=True)}
    assert images_of(rendered()) == [f"tutelage/{name}:{version}" for name in IMAGES]
    mirror = "registry.example.org/mirror/tutelage"
    assert images_of(rendered(AIR_GAPPED)) == [f"{mirror}/{name}@sha256:{digests[name]}" for name in digests]


def pod_specs(part: Any) -> Iterator[Object]:
    """Every spec of pods in an object that has its own security context: the chart's pods, and the runtime's."""
    if isinstance(part, dict):
        if "containers" in part:
            yield part
        for value in part.values():
            yield from pod_specs(value)
    if isinstance(part, list):
        for value in part:
            yield from pod_specs(value)


@pytest.mark.parametrize("values", CI)
def test_every_pod_passes_the_restricted_standard(values: str) -> None:
    specs = list(pod_specs(rendered(values)))
    assert len(specs) >= 2
    for spec in specs:
        context = spec["securityContext"]
        assert context["runAsNonRoot"] and context["runAsUser"] > 0
        assert context["seccompProfile"] == {"type": "RuntimeDefault"}
        assert all(container["securityContext"] == RESTRICTED for container in spec["containers"])
        assert all(not {"hostPath", "hostNetwork"} & volume.keys() for volume in spec.get("volumes", ()))


def matches(selector: Object, labels: dict[str, str]) -> bool:
    """Whether a label selector of Kubernetes means these labels."""
    exact = all(labels.get(name) == value for name, value in selector.get("matchLabels", {}).items())
    return exact and all(
        (one["key"] in labels) == (one["operator"] == "Exists") for one in selector.get("matchExpressions", ())
    )


def test_policies_select_the_pods_that_the_code_makes(tmp_path: Path) -> None:
    objects = rendered(AIR_GAPPED)
    jobs = of_kind(objects, "NetworkPolicy", "-jobs")["spec"]["podSelector"]
    steps = of_kind(objects, "NetworkPolicy", "-steps")["spec"]["podSelector"]
    recipe = recipe_with(objects, tmp_path)
    rayjob, *trainjobs = manifests_of(recipe)
    cluster = rayjob["spec"]["rayClusterSpec"]
    templates = [rayjob["spec"]["submitterPodTemplate"], cluster["headGroupSpec"]["template"]]
    templates += [group["template"] for group in cluster["workerGroupSpecs"]]
    for trainjob in trainjobs:
        (patch,) = trainjob["spec"]["runtimePatches"][0]["trainingRuntimeSpec"]["template"]["spec"]["replicatedJobs"]
        templates.append(patch["template"]["spec"]["template"])
    assert len(templates) == 6
    for made in templates:
        assert matches(jobs, made["metadata"]["labels"]) and not matches(steps, made["metadata"]["labels"])
    compile_pipeline(recipe, tmp_path / "pipeline.yaml")
    *_, platform = yaml.safe_load_all((tmp_path / "pipeline.yaml").read_text())
    executors = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    assert executors
    for executor in executors.values():
        labels = executor["podMetadata"]["labels"]
        assert matches(steps, labels) and not matches(jobs, labels)
    own = [of_kind(objects, "Pod"), of_kind(objects, "CronJob")["spec"]["jobTemplate"]["spec"]["template"]]
    assert all(matches(steps, pod["metadata"]["labels"]) for pod in own)
    assert not matches(steps, {"app.kubernetes.io/part-of": "tutelage"}), "another chart's pods are left alone"


def test_the_monitor_selects_rays_pods_alone(tmp_path: Path) -> None:
    objects = rendered(GPU)
    selector = of_kind(objects, "PodMonitor")["spec"]["selector"]
    rayjob, *_ = manifests_of(recipe_with(objects, tmp_path))
    head = rayjob["spec"]["rayClusterSpec"]["headGroupSpec"]["template"]["metadata"]["labels"]
    assert matches(selector, {**head, "ray.io/node-type": "head"}), "KubeRay adds its own label"
    assert not matches(selector, rayjob["spec"]["submitterPodTemplate"]["metadata"]["labels"])


@pytest.mark.parametrize("path", sorted((CHART / "templates").rglob("*.yaml")), ids=lambda path: path.stem)
def test_each_template_holds_one_kind(path: Path) -> None:
    assert len(re.findall(r"(?m)^kind: ", path.read_text())) == 1


def test_two_releases_have_no_name_in_common() -> None:
    one, other = ({(each["kind"], each["metadata"]["name"]) for each in rendered(GPU, release=r)} for r in ("a", "b"))
    assert not one & other
