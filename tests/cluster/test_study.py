"""Studies on the cluster: each training a TrainJob, and the analysis in the exit handler, whatever has failed."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubernetes import client, config

from components.analyse.study_schema import Study
from components.shared.process.step_failure import read_failures
from tests.cluster.access import Namespace, Object
from tests.cluster.demo import compile_recipe, placement_for
from tests.cluster.kubeflow.run import Run, TaskFailedError
from tests.cluster.storage import Storage
from tests.small_study import RATES, small_study

pytestmark = [pytest.mark.timeout(3000), pytest.mark.whole]
ARMS, SEEDS = ("sft1-all", "sft2-all"), (0, 1)


def test_every_training_is_a_job_and_the_analysis_finds_all_evaluations(
    images: None, namespace: Namespace, storage: Storage, tmp_path: Path
) -> None:
    store = f"{namespace.store}/study"
    run = _registered(namespace, store, Path(small_study(tmp_path, store)), placement_for(storage, tmp_path))
    run.execute()
    ends = _ends_of_jobs(namespace, run)
    assert set(ends.values()) == {"Complete"}
    assert len(ends) == len(RATES) * len(SEEDS), "the shorter arm's models are made on the way"
    study = _study(run, storage)
    assert [(arm.name, arm.status) for arm in study.arms] == [(arm, "complete") for arm in ARMS]
    assert (study.missing, study.seeds, study.total.trainings) == ((), SEEDS, len(RATES) * len(SEEDS))


def test_a_failed_arm_leaves_the_others_standing_and_is_named(
    images: None, namespace: Namespace, storage: Storage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The jobs of one arm find no row that is short enough for its max_length."""
    store = f"{namespace.store}/study"
    arms: list[dict[str, Any]] = [{"chain": "cut@1"}, {"chain": "sft@1"}]
    recipe = Path(small_study(tmp_path, store, arms=arms, seeds=[0]))
    _add_method(recipe, "cut", max_length=8)
    run = _registered(namespace, store, recipe, placement_for(storage, tmp_path))
    with pytest.raises(TaskFailedError, match="no row is left to train on"):
        run.execute()
    assert run.state == "FAILED"
    cut, others = ([f"{arm}1-all-r{rate}-s0" for rate in range(1, len(RATES) + 1)] for arm in ("cut", "sft"))
    failed = {f"train-{one}" for one in cut}
    assert _titles(run, run.failed) == failed
    test_of_arm = {"choose-cut1-all-s0", "evaluate-cut1-all-s0-test"}
    assert _titles(run, run.omitted) == test_of_arm.union(f"evaluate-{one}" for one in cut)
    assert run.made.keys() >= {"analyse", "clean-up"}
    ends = _ends_of_jobs(namespace, run)
    assert ends == {f"train-{one}": "Complete" for one in others} | dict.fromkeys(failed, "Failed")

    study = _study(run, storage)
    assert [(arm.name, arm.status) for arm in study.arms] == [("cut1-all", "failed"), ("sft1-all", "complete")]
    assert {key.partition("/")[0] for key in study.missing} == {"cut1-all"}
    for name, value in storage.environment.items():
        monkeypatch.setenv(name, value)
    reasons = read_failures(store, run.name, [*failed])
    assert {task: "no row is left to train on" in reasons[task].problem for task in failed} == dict.fromkeys(
        failed, True
    )


def _registered(namespace: Namespace, store: str, recipe: Path, placement: Path) -> Run:
    core = client.CoreV1Api(config.new_client_from_config(str(namespace.cluster.kubeconfig)))
    root, compiled = f"{namespace.store}/kubeflow", compile_recipe(recipe, store, placement)
    return Run(core, namespace.name, compiled, root=root, parameters={}, components=None)


def _add_method(path: Path, name: str, **settings: Any) -> None:
    """Add a method to a recipe: SFT with other settings."""
    recipe = yaml.safe_load(path.read_text())
    sft = recipe["methods"]["sft"]
    recipe["methods"][name] = {**sft, "settings": {**sft["settings"], **settings}}
    path.write_text(yaml.safe_dump(recipe, sort_keys=False))


def _titles(run: Run, tasks: Iterable[str]) -> set[str]:
    return {run.task(name).title for name in tasks}


def _ends_of_jobs(namespace: Namespace, run: Run) -> dict[str, str]:
    """Whether each TrainJob of a run is Complete or Failed, by its task."""
    jobs = namespace.cluster.list_objects("trainjobs", f"tutelage.dev/run={run.name}", namespace.name)
    return {job["metadata"]["name"].rpartition("-")[0]: _end(job) for job in jobs}


def _end(job: Object) -> str:
    conditions = job.get("status", {}).get("conditions", [])
    ended = [one["type"] for one in conditions if one["status"] == "True" and one["type"] in {"Complete", "Failed"}]
    return ended[0] if ended else "running"


def _study(run: Run, storage: Storage) -> Study:
    bucket, _, key = str(run.made["analyse"].parameters["Output"]).removeprefix("s3://").partition("/")
    body = storage.client.get_object(Bucket=bucket, Key=f"{key}/study.json")["Body"].read()
    return Study.model_validate_json(body)
