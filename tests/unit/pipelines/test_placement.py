"""What a compiled pipeline asks of the cluster."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from components.launch.job import Launch
from components.launch.pods import PodPlacement
from components.shared.process.perform import PID_FILE_VARIABLE
from pipelines.kubeflow.compile_pipeline import compile_pipeline
from pipelines.placement.place_tasks import KILL_COMMAND, PID_FILE
from pipelines.placement.placement import Placement, TaskPlacement
from pipelines.recipe.read_recipe import read_recipe

RECIPES = Path(__file__).parents[3] / "pipelines" / "recipes"
DEMO = RECIPES / "demo.yaml"
SMALL = RECIPES.parent / "placements" / "small-cluster.yaml"
EIGHT_GPUS = RECIPES / "qwen2-0.5b-8gpu.yaml"


def compiled(tmp_path: Path, placement: Placement, recipe: Path = DEMO) -> dict[str, Any]:
    """The pipeline, and what it asks of Kubernetes as `kubernetes`."""
    loaded = read_recipe(recipe, check_files=False).model_copy(update={"placement": placement})
    path = tmp_path / "pipeline.yaml"
    compile_pipeline(loaded, path)
    pipeline, platform = yaml.safe_load_all(path.read_text())
    return {**pipeline, "kubernetes": platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]}


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The demo on the small cluster."""
    recipe = read_recipe(DEMO, check_files=False, placement=SMALL, store="s3://bucket/demo", for_cluster=True)
    return compiled(tmp_path_factory.mktemp("small"), recipe.placement)


def settings_of(pipeline: dict[str, Any], task: str) -> dict[str, Any]:
    tasks = pipeline["components"]["comp-exit-handler-1"]["dag"]["tasks"]
    found: dict[str, Any] = tasks[task]["inputs"]["parameters"]["settings"]["runtimeValue"]["constant"]
    return found


def environment_of(pipeline: dict[str, Any], executor: str) -> dict[str, str]:
    container = pipeline["deploymentSpec"]["executors"][executor]["container"]
    return {item["name"]: item["value"] for item in container["env"]}


def test_each_step_gets_its_own_resources_and_the_others_the_default(tmp_path: Path) -> None:
    placement = Placement(
        image="registry.example/tutelage:1",
        images={"select": "registry.example/select:1"},
        tasks={
            "default": TaskPlacement(memory="3Gi", cpu="100m", cpu_limit="2"),
            "evaluate": TaskPlacement(accelerators=2, memory="30Gi"),
            "evaluate-sft": TaskPlacement(memory="7Gi"),
        },
    )
    pipeline = compiled(tmp_path, placement)
    executors = pipeline["deploymentSpec"]["executors"]
    names = {task["taskInfo"]["name"]: name for name, task in pipeline["root"]["dag"]["tasks"].items()}
    base, sft = (executors[f"exec-{names[name]}"]["container"] for name in ("evaluate-base", "evaluate-sft"))
    assert base["resources"]["accelerator"]["resourceCount"] == "2"
    assert base["resources"]["resourceMemoryLimit"] == "30Gi"
    assert "accelerator" not in sft["resources"] and sft["resources"]["resourceMemoryLimit"] == "7Gi"
    curate = executors["exec-curate"]["container"]["resources"]
    assert curate["resourceMemoryLimit"] == "3Gi"
    assert (curate["resourceCpuRequest"], curate["resourceCpuLimit"]) == ("100m", "2")
    images = {name: executor["container"]["image"] for name, executor in executors.items()}
    assert images.pop("exec-select") == "registry.example/select:1"
    assert set(images.values()) == {"registry.example/tutelage:1"}


def test_steps_and_jobs_run_in_the_images_that_ship_unless_others_are_named(tmp_path: Path) -> None:
    jobs = {"synthesize": Launch(launcher="RayJob"), "train": Launch(launcher="TrainJob")}
    pipeline = compiled(tmp_path, Placement(jobs=jobs))
    executors = pipeline["deploymentSpec"]["executors"]
    images = {name.removeprefix("exec-"): executor["container"]["image"] for name, executor in executors.items()}
    assert images.pop("synthesize") == "tutelage/ray:0.1.0"
    assert images.pop("clean-up") == "tutelage/launcher:0.1.0"
    assert set(images.values()) == {"tutelage/train:0.1.0"}
    assert settings_of(pipeline, "synthesize")["launch"]["pods"]["image"] == "tutelage/ray:0.1.0"
    assert settings_of(pipeline, "train-2")["launch"]["pods"]["image"] == "tutelage/train:0.1.0"
    named = compiled(tmp_path, Placement(image="one:1", jobs=jobs))
    assert settings_of(named, "synthesize")["launch"]["pods"]["image"] == "one:1"


def test_tasks_are_retried_after_hours_and_never_cached_by_kubeflow(tmp_path: Path) -> None:
    tasks = compiled(tmp_path, Placement())["root"]["dag"]["tasks"]
    assert {"collect", "train", "publish"} < tasks.keys()
    for task in tasks.values():
        assert task["cachingOptions"] == {} or not task["cachingOptions"].get("enableCache")
        assert task["retryPolicy"]["backoffMaxDuration"] == f"{7 * 24 * 3600}s"


def test_every_step_knows_how_often_it_may_be_retried(tmp_path: Path) -> None:
    """For installations where Kubeflow does not restart failed pods: the same number of retries in the same time."""
    placement = Placement(
        tasks={
            "default": TaskPlacement(retries=5, retry_for_seconds=3600),
            "select": TaskPlacement(retries=0),
        }
    )
    pipeline = compiled(tmp_path, placement)
    for name, task in pipeline["root"]["dag"]["tasks"].items():
        environment = environment_of(pipeline, f"exec-{name}")
        asked = environment.get("TUTELAGE_RETRIES"), environment.get("TUTELAGE_RETRY_FOR_SECONDS")
        if name == "select":
            assert asked == (None, None) and "retryPolicy" not in task
        else:
            assert asked == ("5", "3600") and task["retryPolicy"]["maxRetryCount"] == 5
            assert task["retryPolicy"]["backoffDuration"] == "30s" and task["retryPolicy"]["backoffFactor"] == 2


def test_no_package_is_installed_at_run_time(tmp_path: Path) -> None:
    assert "pip install" not in str(compiled(tmp_path, Placement()))


def test_every_pod_is_of_a_plain_user_and_has_somewhere_to_write(tmp_path: Path) -> None:
    pipeline = compiled(tmp_path, Placement(tasks={"select": TaskPlacement(scratch="70Gi")}))
    assert set(pipeline["kubernetes"]) == set(pipeline["deploymentSpec"]["executors"])
    for name, asked in pipeline["kubernetes"].items():
        assert asked["securityContext"] == {"runAsUser": "1000", "runAsNonRoot": True}
        (volume,) = asked["emptyDirMounts"]
        environment = environment_of(pipeline, name)
        assert environment["HOME"].startswith(volume["mountPath"])
        assert environment["TUTELAGE_CACHE"].startswith(volume["mountPath"])
        assert volume["sizeLimit"] == ("70Gi" if name == "exec-select" else "20Gi")


def test_what_holds_for_all_pods_reaches_every_step(tmp_path: Path) -> None:
    pods = PodPlacement.model_validate(
        {
            "environment": {"AWS_ENDPOINT_URL": "https://s3.example"},
            "secrets": {"AWS_ACCESS_KEY_ID": {"secret": "keys", "key": "id"}},
            "certificate_authority": {"config_map": "authority", "key": "bundle.pem"},
            "image_pull_secrets": ["registry"],
            "node_selector": {"pool": "batch"},
            "tolerations": [{"key": "gpu", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 30}],
            "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": []}}},
            "annotations": {"a": "b"},
            "labels": {"team": "nlp"},
            "user": 4711,
        }
    )
    pipeline = compiled(tmp_path, Placement(pods=pods))
    for name, asked in pipeline["kubernetes"].items():
        assert asked["secretAsEnv"][0]["secretName"] == "keys"
        assert asked["secretAsEnv"][0]["keyToEnv"] == [{"secretKey": "id", "envVar": "AWS_ACCESS_KEY_ID"}]
        assert asked["imagePullSecret"][0]["secretName"] == "registry"
        assert asked["nodeSelector"]["labels"] == {"pool": "batch"}
        assert asked["tolerations"][0]["tolerationSeconds"] == "30"
        assert asked["nodeAffinity"]
        assert asked["podMetadata"]["annotations"] == {"a": "b"}
        assert asked["podMetadata"]["labels"].items() >= {"team": "nlp"}.items()
        assert asked["securityContext"]["runAsUser"] == "4711"
        mounted = asked["configMapAsVolume"][0]
        environment = environment_of(pipeline, name)
        for variable in ("AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"):
            assert environment[variable] == f"{mounted['mountPath']}/bundle.pem"
        assert environment["AWS_ENDPOINT_URL"] == "https://s3.example"


def test_jobs_go_where_the_placement_puts_them_and_inherit_its_pods(small: dict[str, Any]) -> None:
    launch = settings_of(small, "synthesize")["launch"]
    assert (launch["launcher"], launch["nodes"]) == ("RayJob", 1.0)
    training = settings_of(small, "train-2")
    assert training["method"] == "kto"
    assert training["launch"]["launcher"] == "TrainJob"
    assert training["launch"]["nodes"] * training["launch"]["processes_per_node"] == 2
    for pods in (launch["pods"], training["launch"]["pods"]):
        assert pods["secrets"]["AWS_ACCESS_KEY_ID"] == {"secret": "tutelage-s3", "key": "access-key"}
        assert pods["environment"]["AWS_ENDPOINT_URL"] == "http://s3:7070"
        assert pods["cpu"] == "300m"
    assert launch["pods"]["image"] == "tutelage/ray:0.1.0"
    assert training["launch"]["pods"]["image"] == "tutelage/train:0.1.0"


def test_a_pipeline_with_jobs_ends_with_the_clean_up_and_others_do_not(small: dict[str, Any], tmp_path: Path) -> None:
    last = small["root"]["dag"]["tasks"]["clean-up"]
    assert last["triggerPolicy"]["strategy"] == "ALL_UPSTREAM_TASKS_COMPLETED"
    assert "secretAsEnv" not in small["kubernetes"]["exec-clean-up"], "it talks to the cluster only"
    assert "clean-up" not in compiled(tmp_path, Placement())["root"]["dag"]["tasks"]


def test_only_steps_that_start_jobs_are_signalled_alone_when_a_run_is_cancelled(small: dict[str, Any]) -> None:
    annotated = {name for name, asked in small["kubernetes"].items() if "kill" in str(asked.get("podMetadata", {}))}
    assert annotated == {"exec-synthesize", "exec-train", *(f"exec-train-{number}" for number in range(2, 6))}
    path = environment_of(small, "exec-train")["TUTELAGE_PID_FILE"]
    assert path in str(small["kubernetes"]["exec-train"]["podMetadata"])


def test_the_command_that_cancels_a_step_signals_the_component_alone(tmp_path: Path) -> None:
    file = tmp_path / "pid"
    work = (
        "import time; from components.shared.process.perform import perform; perform('train', lambda: time.sleep(60))"
    )
    process = subprocess.Popen([sys.executable, "-c", work], env={**os.environ, PID_FILE_VARIABLE: str(file)})
    try:
        deadline = time.monotonic() + 60
        while not (file.exists() and file.read_text()) and time.monotonic() < deadline:
            time.sleep(0.05)
        subprocess.run(json.loads(KILL_COMMAND.replace(PID_FILE, str(file)) % signal.SIGTERM), check=True, timeout=600)
        assert process.wait(30) == -signal.SIGTERM
    finally:
        process.kill()


def test_no_secret_and_no_path_of_this_machine_is_compiled_in(small: dict[str, Any]) -> None:
    assert str(Path.cwd()) not in str(small)
    assert "secretKeyRef" not in str(small) and small["root"]["inputDefinitions"]["parameters"]["root"]


def test_the_recipe_for_eight_gpus_asks_for_them(tmp_path: Path) -> None:
    pipeline = compiled(tmp_path, read_recipe(EIGHT_GPUS, check_files=False).placement, EIGHT_GPUS)
    launch = settings_of(pipeline, "train")["launch"]
    assert launch["pods"]["gpus"] * launch["nodes"] == launch["processes_per_node"] == 8
    assert launch["pods"]["tolerations"] and launch["pods"]["secrets"]["TEACHER_API_KEY"]
    training = pipeline["deploymentSpec"]["executors"]["exec-train"]["container"]["resources"]
    assert "accelerator" not in training, "the step's own pod holds no GPU"


def test_an_evaluation_starts_as_soon_as_its_model_is_there(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    endpoint = "{backend: openai, model: served, endpoints: ['http://teacher:8000/v1']}"
    path.write_text(DEMO.read_text().replace("\nevaluate:\n", f"\nevaluate:\n  endpoints: {{teacher: {endpoint}}}\n"))
    tasks = compiled(tmp_path, Placement(), path)["root"]["dag"]["tasks"]
    by_name = {task["taskInfo"]["name"]: task for task in tasks.values()}
    after = {
        name: {tasks[key]["taskInfo"]["name"] for key in task["dependentTasks"]}
        for name, task in by_name.items()
        if name.startswith("evaluate-")
    }
    assert after["evaluate-base"] == after["evaluate-teacher"] == {"collect"}
    assert after["evaluate-sft-kto"] == {"collect", "train-sft-kto"}
    teacher = by_name["evaluate-teacher"]["inputs"]["parameters"]
    assert teacher["model"]["runtimeValue"]["constant"] == ""
    assert teacher["settings"]["runtimeValue"]["constant"]["generator"]["model"] == "served"
    compared = {tasks[key]["taskInfo"]["name"] for key in by_name["compare"]["dependentTasks"]}
    assert compared == set(after)
