"""A study of two arms and two seeds on the cluster: each training a TrainJob, and the analysis in the exit handler."""

import json
from pathlib import Path

import pytest
from kubernetes import client, config

from components.analyse.study_schema import Study
from tests.cluster.access import Namespace
from tests.cluster.demo import compile_recipe, placement_for
from tests.cluster.kubeflow.run import Run
from tests.cluster.storage import Storage
from tests.small_study import RATES, small_study

pytestmark = [pytest.mark.timeout(3000), pytest.mark.whole]
ARMS, SEEDS = ("sft1-all", "sft2-all"), (0, 1)


def test_every_training_is_a_job_and_the_analysis_finds_all_evaluations(
    images: None, namespace: Namespace, storage: Storage, tmp_path: Path
) -> None:
    store = f"{namespace.store}/study"
    recipe = Path(small_study(tmp_path, store))
    compiled = compile_recipe(recipe, store, placement_for(storage, tmp_path))
    core = client.CoreV1Api(config.new_client_from_config(str(namespace.cluster.kubeconfig)))
    root = f"{namespace.store}/kubeflow"
    run = Run(core, namespace.name, compiled, root=root, parameters={}, components=None)
    run.execute()

    jobs = namespace.cluster.get("trainjobs", namespace=namespace.name)["items"]
    assert len(jobs) == len(RATES) * len(SEEDS), "the shorter arm's models are made on the way"
    assert {job["metadata"]["labels"]["tutelage.dev/run"] for job in jobs} == {run.name}
    (last,) = [pod for pod in run.pods if "-analyse-" in pod]
    uri = str(run.outcome(last, run.task("analyse")).parameters["Output"])
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    body = storage.client.get_object(Bucket=bucket, Key=f"{key}/study.json")["Body"].read()
    study = Study.model_validate(json.loads(body))
    assert [(arm.name, arm.status) for arm in study.arms] == [(arm, "complete") for arm in ARMS]
    assert (study.missing, study.seeds, study.total.trainings) == ((), SEEDS, len(RATES) * len(SEEDS))
