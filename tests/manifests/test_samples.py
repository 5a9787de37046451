"""The samples are what the launchers make, and `fill_store.py` writes what they read."""

import importlib.util
from pathlib import Path
from typing import Any

import pytest
import yaml

from components.launch.hand_back.report import read_job
from components.launch.job import Job
from components.synthesize.settings import Assignment
from components.train.job_file import TrainingJob
from components.train.train import PROGRAM
from tests.manifests.render import documents, kustomized
from tests.manifests.sample_jobs import JOBS, ROOT, SAMPLES, samples
from tests.manifests.shipped import K8S
from tests.manifests.write_samples import as_yaml, rewrite

TRAININGS = [name for name, sample in JOBS.items() if sample.job.module.startswith("components.train.")]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A folder that `fill_store.py` has filled."""
    path = SAMPLES / "fill-store" / "fill_store.py"
    spec = importlib.util.spec_from_file_location("fill_store", path)
    assert spec is not None and spec.loader is not None
    program = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(program)
    root = str(tmp_path_factory.mktemp("samples"))
    program.fill_synthesis(root)
    program.fill_trainings(root)
    return root


@pytest.mark.parametrize("name", samples())
def test_a_sample_is_what_the_launcher_makes(name: str) -> None:
    found = yaml.safe_load((SAMPLES / name).read_text())
    assert found == samples()[name], "python -m tests.manifests.write_samples rewrites the samples"


def test_each_sample_has_its_job() -> None:
    written = {path.name for path in SAMPLES.glob("*.yaml")}
    assert written == {*JOBS, "trainingruntime-gpu.yaml"}


def test_comments_stay_above_their_lines(tmp_path: Path) -> None:
    path = tmp_path / "sample.yaml"
    path.write_text("# head\nkind: A\nspec:\n  # one\n- a\n  # two\n- b\n  # gone\n- c\n")
    lost = rewrite(path, {"kind": "A", "more": 1, "spec": ["a", "b"]})
    assert path.read_text() == "# head\nkind: A\nmore: 1\nspec:\n  # one\n- a\n  # two\n- b\n"
    assert lost == ["  # gone"]


def test_the_gpu_runtime_is_the_overlays() -> None:
    [sample] = documents((SAMPLES / "trainingruntime-gpu.yaml").read_text())
    [overlay] = [each for each in kustomized(K8S / "overlays" / "gpu") if each["kind"] == "TrainingRuntime"]
    assert sample["spec"] == overlay["spec"]


def test_jobs_name_runtimes_and_queues_that_ship() -> None:
    runtimes = {
        yaml.safe_load(path.read_text())["metadata"]["name"]
        for path in (K8S / "base" / "trainingruntime.yaml", SAMPLES / "trainingruntime-gpu.yaml")
    }
    [queue] = documents((SAMPLES / "kueue" / "localqueue.yaml").read_text())
    for sample in JOBS.values():
        assert sample.job.launch.training_runtime in runtimes
        assert sample.job.launch.pods.queue in ("", queue["metadata"]["name"])


@pytest.mark.parametrize("name", TRAININGS)
def test_a_training_finds_its_job_file(store: str, name: str) -> None:
    job = JOBS[name].job
    asked = read_job(_uri(job, store), TrainingJob)
    assert asked.settings.ranks == job.launch.processes, "the file was written for other ranks"
    assert job.module == PROGRAM
    assert (Path(store) / asked.dataset / "manifest.json").is_file()


@pytest.mark.parametrize(("name", "stage"), [("trainjob-sft-zero2.yaml", 2), ("trainjob-kto-zero3.yaml", 3)])
def test_the_stage_is_the_files(store: str, name: str, stage: int) -> None:
    assert read_job(_uri(JOBS[name].job, store), TrainingJob).settings.deepspeed.stage == stage


def test_the_synthesis_finds_its_assignment(store: str) -> None:
    uri = _uri(JOBS["rayjob.yaml"].job, store)
    assignment = Assignment.model_validate_json(Path(uri).read_bytes())
    manifest: dict[str, Any] = yaml.safe_load((Path(store) / assignment.dataset / "manifest.json").read_text())
    assert manifest["content"] == "labelled/1"
    assert manifest["shards"][0]["rows"] == 320


def test_yaml_has_no_aliases() -> None:
    for name, manifest in samples().items():
        assert "&id" not in as_yaml(manifest), name


def _uri(job: Job, store: str) -> str:
    return job.arguments[1].replace(ROOT, store)
