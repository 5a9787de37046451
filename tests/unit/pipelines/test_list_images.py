"""`tutelage images`: every image that a site must mirror, and nothing else."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
DEMO = str(ROOT / "pipelines" / "recipes" / "demo.yaml")
DIGEST = f"sha256:{'a' * 64}"

MANIFESTS = f"""
apiVersion: v1
kind: List
items:
  - apiVersion: batch/v1
    kind: CronJob
    metadata: {{name: nightly, annotations: {{image: a person's word}}}}
    spec:
      jobTemplate:
        spec:
          template:
            spec:
              initContainers: [{{name: init, image: registry.example.org/init:1}}]
              containers: [{{name: main, image: "registry.example.org/main@{DIGEST}"}}]
              volumes: [{{name: model, image: {{reference: registry.example.org/model:3}}}}]
---
apiVersion: trainer.kubeflow.org/v1alpha1
kind: TrainingRuntime
spec:
  template:
    spec:
      replicatedJobs:
        - name: node
          template: {{spec: {{template: {{spec: {{containers: [{{name: node, image: runtime:1}}]}}}}}}}}
---
apiVersion: trainer.kubeflow.org/v1alpha1
kind: TrainJob
spec: {{trainer: {{image: trainjob:1}}}}
---
apiVersion: kubeflow.org/v1
kind: PyTorchJob
spec:
  pytorchReplicaSpecs:
    Worker: {{template: {{spec: {{containers: [{{name: pytorch, image: pytorchjob:1}}]}}}}}}
---
apiVersion: ray.io/v1
kind: RayJob
spec:
  submitterPodTemplate: {{spec: {{containers: [{{name: s, image: submitter:1}}]}}}}
  rayClusterSpec:
    headGroupSpec: {{template: {{spec: {{containers: [{{name: head, image: ray:1}}]}}}}}}
    workerGroupSpecs:
      - template: {{spec: {{containers: [{{name: worker, image: ray:1}}]}}}}
---
apiVersion: v1
kind: ConfigMap
metadata: {{name: words}}
data: {{image: none}}
---
apiVersion: v1
kind: ConfigMap
metadata: {{name: placement}}
data:
  placement.yaml: |
    image: train:1
    images: {{synthesize: launcher:1}}
    jobs:
      synthesize: {{launcher: RayJob, pods: {{image: "ray@{DIGEST}"}}}}
      train: {{launcher: TrainJob}}
---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
spec: {{versions: [{{schema: {{properties: {{image: {{default: "no:1"}}}}, image: "no:2"}}}}]}}
---
"""


def images(*arguments: str, given: str = "") -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "pipelines.cli.main", "images", *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, input=given, timeout=3600)


def test_every_kind_that_runs_pods_is_looked_through() -> None:
    done = images(given=MANIFESTS)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "launcher:1",
        "pytorchjob:1",
        "ray:1",
        f"ray@{DIGEST}",
        "registry.example.org/init:1",
        f"registry.example.org/main@{DIGEST}",
        "registry.example.org/model:3",
        "runtime:1",
        "submitter:1",
        "train:1",
        "trainjob:1",
    ]


@pytest.fixture
def placement(tmp_path: Path) -> str:
    """A placement with an image for steps, one for a step, and one for a job; variant kto's own job has its step's."""
    path = tmp_path / "placement.yaml"
    path.write_text(
        "variables: {site: registry.example.org}\n"
        'image: "${site}/train:9"\n'
        "images: {train: launcher:9}\n"
        "jobs: {synthesize: {launcher: RayJob, pods: {image: vllm:9}}, train-kto: {launcher: TrainJob}}\n"
    )
    return str(path)


def test_several_files_and_a_recipe_with_its_jobs_make_one_list(tmp_path: Path, placement: str) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}.yaml").write_text(f"kind: Pod\nspec: {{containers: [{{name: c, image: '{name}:1'}}]}}\n")
    files = (str(tmp_path / "a.yaml"), str(tmp_path / "b.yaml"))
    done = images(*files, "--recipe", DEMO, "--placement", placement)
    wanted = ["a:1", "b:1", "launcher:9", "registry.example.org/train:9", "vllm:9"]
    assert done.stdout.splitlines() == wanted, done.stderr


def test_a_recipe_alone_with_a_variable_of_its_placement(placement: str) -> None:
    done = images("--recipe", DEMO, "--placement", placement, "--set", "site=mirror")
    assert done.stdout.splitlines() == ["launcher:9", "mirror/train:9", "vllm:9"], done.stderr


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("", "helm template RELEASE CHART | tutelage images"),
        ("just words", "Kubernetes objects in YAML"),
        ("a: [", "not YAML"),
        ("kind: ConfigMap\ndata: {placement.yaml: 'imagine: x'}", "imagine"),
    ],
)
def test_files_that_are_not_manifests_are_refused_with_a_remedy(given: str, said: str) -> None:
    done = images(given=given)
    assert done.returncode == 1 and not done.stdout
    assert said in done.stderr and "Traceback" not in done.stderr


def test_a_missing_file_and_a_placement_without_a_recipe() -> None:
    assert "/nowhere.yaml" in images("/nowhere.yaml").stderr
    assert "--recipe" in images("--set", "a=b").stderr
