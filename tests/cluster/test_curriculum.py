"""A curriculum of two rounds on the cluster: probes, texts and critiques as RayJobs, trainings as TrainJobs."""

from collections import Counter
from pathlib import Path

import pytest

from components.publish.report_schema import Report
from tests.cluster.access import Namespace
from tests.cluster.curriculum import PROBLEMS, small_curriculum
from tests.cluster.demo import compile_recipe, placement_for
from tests.cluster.storage import Storage
from tests.cluster.training import TrainRun

pytestmark = [pytest.mark.timeout(4500), pytest.mark.whole]

MODELS = ["base", "round-1-sft", "round-1-rl", "round-2-sft", "round-2-rl", "distillation"]
RAY_JOBS = 6
"""A probe and texts in each round, in the second one critiques, and a probe after it."""


class CompleteRun(TrainRun):
    """A run of all tasks."""

    components = None


def test_two_rounds_end_in_a_report_and_a_second_run_finds_all_of_it(
    images: None, namespace: Namespace, storage: Storage, tmp_path: Path
) -> None:
    store = f"{namespace.store}/curriculum"
    compiled = compile_recipe(small_curriculum(tmp_path), store, placement_for(storage, tmp_path))
    register = CompleteRun(namespace, storage, tmp_path).registered
    first = register(compiled)
    made = first.execute()
    jobs = _jobs(namespace, first.name)
    assert jobs["trainjobs"] == len(MODELS) - 1, "one for each model but the student itself"
    assert jobs["rayjobs"] == RAY_JOBS
    _check_report(_report(storage, str(made["publish"].parameters["Output"])))

    second = register(compiled)
    again = second.execute()
    assert _jobs(namespace, second.name).total() == 0, "a complete run starts no job"
    found = {name: outputs.parameters.get("Output") for name, outputs in made.items()}
    assert {name: outputs.parameters.get("Output") for name, outputs in again.items()} == found


def _jobs(namespace: Namespace, run: str) -> Counter[str]:
    """The jobs of a run, by kind; those that ended are kept for a while."""
    of_run = f"tutelage.dev/run={run}"
    kinds = ("rayjobs", "trainjobs")
    return Counter({kind: len(namespace.cluster.list_objects(kind, of_run, namespace.name)) for kind in kinds})


def _report(storage: Storage, uri: str) -> Report:
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    body = storage.client.get_object(Bucket=bucket, Key=f"{key}/report.json")["Body"].read()
    return Report.model_validate_json(body)


def _check_report(report: Report) -> None:
    """It has both rounds, with what each learnt from, and the gate's decision."""
    assert [variant.name for variant in report.variants] == MODELS
    facts = report.curriculum
    assert facts is not None
    assert [probe.model for probe in facts.probes] == ["base", "round-1-rl", "round-2-rl"]
    assert 0.8 * PROBLEMS < facts.probes[0].problems == facts.probes[1].problems, "a few are near-duplicates"
    hard, mixed = (facts.probes[0].pools[pool] for pool in ("hard", "mixed"))
    assert hard > 0 and mixed > 0, "the student has problems for both trainings"
    assert (facts.routes[0].pools["hard"]["sft"], facts.routes[0].pools["mixed"]["rl"]) == (hard, mixed)
    assert [curve.task for curve in facts.rewards] == ["train round-1-rl", "train round-2-rl"]
    assert {example.kind for example in facts.examples} >= {"trace"}
    assert facts.equal_compute is not None
    assert [baseline.variant for baseline in facts.equal_compute.baselines] == ["distillation"]
    assert [verdict.variant for verdict in report.gate.verdicts] == MODELS[1:]
    assert (report.release is not None) == (report.gate.winner is not None), report.gate.sentence
