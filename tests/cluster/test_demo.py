"""The demo's recipe, but for DPO, on the cluster: a RayJob, two-node TrainJobs and plain pods that share only S3.

The chart fills the namespace, whose pods are restricted.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubernetes import client, config

from tests.charts.programs import as_values
from tests.cluster.access import Cluster, Namespace
from tests.cluster.demo import CPU, PLACEMENT, RECIPE, compile_demo
from tests.cluster.kubeflow.run import Run
from tests.cluster.storage import Storage
from tests.cluster.team import RELEASE, new_team, site_values

STUDY = Path(__file__).parents[2] / "benchmarks" / "results" / "demo_study.json"
# The recipe runs once, in the set-up of the first test and before all other tests, since nothing takes as long.
pytestmark = [pytest.mark.timeout(3000), pytest.mark.long]

COMPONENTS = frozenset(
    {
        "components.collect.component",
        "components.curate.component",
        "components.synthesize.component",
        "components.select.component",
        "components.train.component",
        "components.merge.component",
        "components.evaluate.component",
        "components.compare.component",
        "components.publish.component",
        "components.clean_up.component",
    }
)
NOISE = 4.0
"""Largest distance of a score from the study's mean, in standard deviations (and at least 3 points of 100)."""


@pytest.fixture(scope="module")
def finished(
    images: None, cluster: Cluster, storage: Storage, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Namespace, Run]]:
    """The recipe, run to its end in a namespace of the chart, with the chart's account and placement."""
    folder = tmp_path_factory.mktemp("demo")
    with new_team(cluster, storage) as team:
        team.install(as_values(**site_values(team, storage), **small_jobs()))
        compiled = compile_demo(team, team.placement(folder), folder, {"train": trained_variants()})
        core = client.CoreV1Api(config.new_client_from_config(str(cluster.kubeconfig)))
        root = f"{team.store}/kubeflow"
        run = Run(core, team.name, compiled, root=root, parameters={}, service_account=RELEASE, components=COMPONENTS)
        run.execute()
        yield team, run


def trained_variants() -> dict[str, Any]:
    """The recipe's variants without those of DPO, each of which is minutes here and runs as KTO's do."""
    variants: dict[str, Any] = yaml.safe_load(RECIPE.read_text())["train"]
    return {name: variant for name, variant in variants.items() if variant["settings"]["method"] != "dpo"}


def small_jobs() -> dict[str, Any]:
    """Values of the chart that request as little as the small placement: a head and a worker, two nodes."""
    small = yaml.safe_load(PLACEMENT.read_text())
    for job in small["jobs"].values():
        job["pods"].pop("image", None)  # several jobs may be one in the file
        job["pods"]["cpu"] = CPU
    return {"placement.tasks": small["tasks"], "placement.jobs": small["jobs"]}


@pytest.fixture(scope="module")
def report(finished: tuple[Namespace, Run], storage: Storage) -> dict[str, Any]:
    """report.json of the run, read from the store."""
    own, run = finished
    bucket, _, key = str(run.made["publish"].parameters["Output"]).removeprefix("s3://").partition("/")
    assert bucket == own.bucket
    body = storage.client.get_object(Bucket=bucket, Key=f"{key}/report.json")["Body"].read()
    return dict(json.loads(body))


def test_every_task_succeeds(finished: tuple[Namespace, Run]) -> None:
    _, run = finished
    expected = {"collect", "curate", "synthesize", "select", "compare", "publish", "clean-up"}
    expected |= {"train", "train-2", "train-3", "merge", "merge-2", "merge-3"}
    assert expected | {"evaluate", *(f"evaluate-{number}" for number in range(2, 8))} == run.made.keys()


def test_jobs_are_as_the_placement_says(finished: tuple[Namespace, Run]) -> None:
    own, run = finished
    rayjobs = own.cluster.get("rayjobs", namespace=own.name)["items"]
    trainjobs = own.cluster.get("trainjobs", namespace=own.name)["items"]
    assert len(rayjobs) == 1 and [job["spec"]["trainer"]["numNodes"] for job in trainjobs] == [2, 2, 2]
    labels = [job["metadata"]["labels"]["tutelage.dev/run"] for job in [*rayjobs, *trainjobs]]
    assert set(labels) == {run.name}
    owners = [job["metadata"]["ownerReferences"][0]["name"] for job in [*rayjobs, *trainjobs]]
    assert set(owners) == {run.name}, "deleting the run deletes its jobs"


def test_every_pod_has_the_charts_account(finished: tuple[Namespace, Run]) -> None:
    own, _ = finished
    pods = own.cluster.get("pods", namespace=own.name)["items"]
    assert pods and {pod["spec"]["serviceAccountName"] for pod in pods} == {RELEASE}


def test_report_has_the_shape_of_a_local_run(report: dict[str, Any]) -> None:
    from pipelines.recipe.schemas import schema_of

    assert set(schema_of("report")["required"]) <= report.keys()
    names = [variant["name"] for variant in report["variants"]]
    assert names[0] == "base"
    assert sorted(names) == sorted(["base", "sft", "kto", "sft-kto", "half", "twentieth", "ties"])


def test_scores_are_within_the_noise_of_the_study(report: dict[str, Any]) -> None:
    study = json.loads(STUDY.read_text())["variants"]
    for variant in report["variants"]:
        score = 100 * next(score["value"] for score in variant["scores"] if score["benchmark"] == "demo")
        mean, deviation = study[variant["name"]]["mean"], study[variant["name"]]["deviation"]
        assert abs(score - mean) <= max(NOISE * deviation, 3.0), variant["name"]


def test_the_run_writes_no_secret(finished: tuple[Namespace, Run], storage: Storage) -> None:
    own, run = finished
    assert not any(storage.secret in run.log(pod) for pod in run.pods)
    for page in storage.client.get_paginator("list_objects_v2").paginate(Bucket=own.bucket):
        for item in page.get("Contents", ()):
            if item["Key"].endswith((".json", ".html", ".md", ".yaml")):
                body = storage.client.get_object(Bucket=own.bucket, Key=item["Key"])["Body"].read()
                assert storage.secret.encode() not in body, item["Key"]
