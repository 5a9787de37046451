"""JobSet, Kubeflow Trainer, KubeRay and training-operator, from the manifests in their own modules.

The manifests are changed only where a small machine without a registry needs it: the image (one that wraps the program
built here), requests and limits, patient probes, and no election of a leader among one.
"""

import os
import re
import shutil
import tempfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from tests.cluster.node import containers
from tests.cluster.node.build import source_of
from tests.cluster.node.commands import kubectl, run
from tests.cluster.node.daemons import wait_until
from tests.cluster.node.errors import NodeError
from tests.cluster.node.places import CACHE
from tests.cluster.node.programs import JOBSET, KUBERAY, KUBERNETES, TRAINERS, TRAINING_OPERATOR, Program

DEFAULT_TRAINER = max(TRAINERS)
READY_SECONDS = 180.0
WEBHOOK_SECONDS = 60.0
UNREACHED = "failed calling webhook"
RUNTIME = Path(__file__).parents[3] / "k8s" / "base" / "trainingruntime.yaml"


@dataclass(frozen=True)
class Operator:
    """An operator: its program, the folder of its manifests (and the part of it to apply), and its Deployment.

    `configured` is what else is changed in its ConfigMap: pattern and replacement. `checked` is the text of an object
    that one of its webhooks must admit.
    """

    program: Program
    manifests: str
    overlay: str
    namespace: str
    deployment: str
    configured: tuple[tuple[str, str], ...] = ()
    checked: str = ""


OPERATORS = {
    "jobset": Operator(JOBSET, "config", "default", "jobset-system", "jobset-controller-manager"),
    "kuberay": Operator(KUBERAY, "config", "default", "default", "kuberay-operator"),
    "training-operator": Operator(
        TRAINING_OPERATOR, "manifests", "overlays/standalone", "kubeflow", "training-operator"
    ),
}
"""The operators of one version, by name; Trainer's two are separate."""


def trainer(version: str) -> Operator:
    """Kubeflow Trainer at a version.

    Raises:
        NodeError: it is not one of the versions that are built.
    """
    if version not in TRAINERS:
        raise NodeError(f"no Trainer {version!r} here: one of {', '.join(TRAINERS)}")
    overlay = ("manifests", "overlays/manager", "kubeflow-system", "kubeflow-trainer-controller-manager")
    return Operator(TRAINERS[version], *overlay, checked=RUNTIME.read_text())


def operator_named(name: str) -> Operator:
    """An operator that is installed now: jobset, trainer, kuberay or training-operator."""
    if name == "trainer":
        return trainer(installed_trainer() or DEFAULT_TRAINER)
    return OPERATORS[name]


def install_operators() -> None:
    """Install what is not installed yet."""
    there = kubectl("get", "deployments", "--all-namespaces", "-o", "name").split()
    for operator in (*OPERATORS.values(), trainer(DEFAULT_TRAINER)):
        if f"deployment.apps/{operator.deployment}" not in there:
            install(operator)


def wait_for_deployments() -> None:
    """Wait until all that is installed serves."""
    every = ("deployments", "--all", "--all-namespaces")
    kubectl("wait", *every, "--for=condition=Available", f"--timeout={READY_SECONDS:.0f}s")


def installed_trainer() -> str:
    """The version of the Trainer that is installed, or nothing."""
    image = "jsonpath={.spec.template.spec.containers[0].image}"
    any_trainer = trainer(DEFAULT_TRAINER)
    found = kubectl(
        *("get", "deployment", any_trainer.deployment, "-n", any_trainer.namespace, "-o", image, "--ignore-not-found")
    )
    return found.rpartition(":")[2]


def switch_trainer(version: str) -> None:
    """Replace Trainer, its CRDs and its webhooks by another version's; all TrainJobs and runtimes are deleted."""
    wanted, installed = trainer(version), installed_trainer()
    _bring_image(wanted)
    if installed and installed != version:
        # Its own controller removes the finalizers, so the objects are deleted before it is.
        kinds = "trainjobs.trainer.kubeflow.org,trainingruntimes.trainer.kubeflow.org"
        kubectl("delete", kinds, "--all", "--all-namespaces")
        kubectl("delete", "clustertrainingruntimes.trainer.kubeflow.org", "--all")
        uninstall(trainer(installed))
    if installed != version:
        install(wanted)
    wait_ready(wanted)


def wait_ready(operator: Operator) -> None:
    """Wait until an operator's own readiness probe passes, and the API server's calls of its webhooks reach it.

    They have their certificate by then, but their service may still route to the previous pod.

    Raises:
        NodeError: they are not reached for a minute.
    """
    place = ("-n", operator.namespace, f"deployment/{operator.deployment}")
    kubectl("rollout", "status", f"--timeout={READY_SECONDS:.0f}s", *place)
    if operator.checked:
        wait_until(f"the webhooks of {operator.deployment}", partial(_passes, operator.checked), WEBHOOK_SECONDS)


def _passes(text: str) -> bool:
    """Whether the webhooks admit an object; False when they are not reached."""
    try:
        kubectl("apply", "--server-side", "--dry-run=server", "-f", "-", text=text)
    except NodeError as error:
        if UNREACHED in str(error):
            return False
        raise
    return True


def install(operator: Operator) -> None:
    """Apply an operator's manifests; it serves some seconds later."""
    _bring_image(operator)
    text = _joined(_documents(operator))
    # The API server checks every object; to fetch its schemas for a check before it takes seconds.
    kubectl("apply", "--server-side", "--force-conflicts", "--validate=false", "-f", "-", text=text)


def uninstall(operator: Operator) -> None:
    """Delete all of an operator but its namespace."""
    kept = [text for text in _documents(operator) if _kind(text) != "Namespace"]
    kubectl("delete", "--ignore-not-found", "-f", "-", text=_joined(kept))


def _bring_image(operator: Operator) -> None:
    containers.wrap_program(operator.program.file(), operator.program.image, "/manager")


def _documents(operator: Operator) -> list[str]:
    """An operator's manifests, one text each, adapted to this node; definitions of kinds are unchanged.

    An API of the operator's own (Kueue's view of its queues) is left out: the API server would need an authority for
    it, and cannot delete a namespace while one that is registered does not answer.
    """
    every = re.split(r"(?m)^---\n", _rendered(operator))
    return [_fitted(text, operator) for text in every if _kind(text) != "APIService"]


def _rendered(operator: Operator) -> str:
    """The official manifests as kustomize renders them, kept: that takes seconds."""
    kept = CACHE / "manifests" / f"{operator.program.name}-{operator.program.version}.yaml"
    if not kept.exists():
        kept.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory() as work:
            overlay = _copied_manifests(operator, Path(work, "manifests")) / operator.overlay
            half = kept.with_suffix(f".{os.getpid()}")
            half.write_text(run([KUBERNETES.file("kubectl"), "kustomize", overlay]))
            half.rename(kept)
    return kept.read_text()


def _copied_manifests(operator: Operator, copy: Path) -> Path:
    """A copy in which Trainer's overlay does not fetch JobSet, which is installed here: its own comment says how."""
    shutil.copytree(source_of(operator.program) / operator.manifests, copy, copy_function=shutil.copyfile)
    overlay = copy / operator.overlay / "kustomization.yaml"
    overlay.chmod(0o644)
    overlay.write_text(re.sub(r"(?m)^\s*- \S*third-party/jobset\b.*\n", "", overlay.read_text()))
    return copy


def _fitted(text: str, operator: Operator) -> str:
    kind = _kind(text)
    if kind == "ConfigMap":
        for pattern, replacement in (("leaderElect: true", "leaderElect: false"), *operator.configured):
            text = re.sub(pattern, replacement, text)
        return text
    if kind != "Deployment":
        return text
    deployment = yaml.safe_load(text)
    for container in deployment["spec"]["template"]["spec"]["containers"]:
        _fit_container(container, operator.program.image)
    return yaml.safe_dump(deployment)


def _fit_container(container: dict[str, Any], image: str) -> None:
    container["image"] = image
    container["imagePullPolicy"] = "Never"
    container["resources"] = {"requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {"memory": "1Gi"}}
    container["readinessProbe"] |= {"initialDelaySeconds": 1, "periodSeconds": 3, "timeoutSeconds": 10}
    patient = {"initialDelaySeconds": 60, "periodSeconds": 30, "timeoutSeconds": 20, "failureThreshold": 10}
    container["livenessProbe"] |= patient


def _kind(text: str) -> str:
    found = re.search(r"(?m)^kind: (\S+)$", text)
    return found[1] if found else ""


def _joined(documents: list[str]) -> str:
    return "---\n".join(document if document.endswith("\n") else f"{document}\n" for document in documents)
