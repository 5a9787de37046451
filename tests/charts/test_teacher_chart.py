"""The chart of a shared teacher: lint, its own unit tests, its README, refusals, and what must not be in a manifest."""

import json
import shutil
from pathlib import Path

import pytest
import yaml

from components.models.generators.openai.settings import OpenAISettings
from tests.charts.programs import CHARTS, Object, as_values, ci_values, refusal, template

CHART = CHARTS / "teacher"
CI = [pytest.param(f"--values={path}", id=path.name.removesuffix("-values.yaml")) for path in ci_values("teacher")]
CPU = "--values=teacher/ci/minimal-values.yaml"
GPU = "--values=teacher/ci/gpu-values.yaml"


def _one(objects: list[Object], kind: str) -> Object:
    (found,) = [one for one in objects if one["kind"] == kind]
    return found


def _pods(objects: list[Object]) -> list[Object]:
    """The specs of the server's pods and of the test's."""
    return [_one(objects, "Deployment")["spec"]["template"]["spec"], _one(objects, "Pod")["spec"]]


def _containers(objects: list[Object]) -> list[Object]:
    return [each for pod in _pods(objects) for each in (*pod.get("initContainers", ()), *pod["containers"])]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        pytest.param({"model.refrence": "a/b"}, "additional properties 'refrence'", id="an unknown key"),
        pytest.param({"replica": 2}, "additional properties 'replica'", id="an unknown key at the top"),
        pytest.param({"gpus.count": "two"}, "'/gpus/count': got string", id="a wrong type"),
        pytest.param({"engine": "ollama"}, "'/engine': value must be one of 'vllm', 'transformers'", id="an engine"),
        pytest.param({"images.vllm.digest": "latest"}, "'/images/vllm/digest'", id="a digest that is none"),
        pytest.param({"extraArgs": ["--api-key=s3cr3t"]}, "'/extraArgs/0'", id="a key on the command line"),
        pytest.param({"store.endpoint": "https://user:pass@s3"}, "'/store/endpoint'", id="a password in a URL"),
        pytest.param({"model.servedName": "../etc"}, "'/model/servedName'", id="a way out of the folder"),
        pytest.param({"model.reference": ""}, "model.reference is empty", id="no model"),
        pytest.param(
            {"model.reference": "demo"}, '"demo" is not a model: allowed are OWNER/NAME', id="no such reference"
        ),
        pytest.param({"gpus.count": 0}, "gpus.count is 0: vLLM's image needs a GPU", id="vllm without a GPU"),
        pytest.param({"model.reference": "/models/a"}, "name the claim", id="a folder of an empty volume"),
        pytest.param(
            {"replicas": 2, "cache.claim.create": True},
            "cache.claim.accessModes is ReadWriteOnce",
            id="a claim for two",
        ),
        pytest.param({"autoscaling.enabled": True}, "autoscaling.metrics is empty", id="scaling by nothing"),
        pytest.param(
            {"engine": "transformers", "apiKey.secret": "key"},
            "transformers serve knows no API key",
            id="a key, unused",
        ),
        pytest.param({"engine": "transformers", "tls.secret": "tls"}, "HTTP only", id="TLS, unused"),
        pytest.param(
            {"engine": "transformers", "serviceMonitor.enabled": True},
            "has no metrics",
            id="metrics that are not there",
        ),
        pytest.param(
            {"engine": "transformers", "model.servedName": "c"},
            'under the name "a/b" only',
            id="a name it cannot serve",
        ),
    ],
)
def test_wrong_values_are_refused_by_name(values: Object, words: str) -> None:
    said = refusal("teacher", as_values(**{"model.reference": "a/b", **values}))
    assert words in said


@pytest.mark.parametrize("values", CI)
def test_pods_meet_the_restricted_standard(values: str) -> None:
    objects = template("teacher", values)
    for pod in _pods(objects):
        security = pod["securityContext"]
        assert security["runAsNonRoot"] is True
        assert security["seccompProfile"] == {"type": "RuntimeDefault"}
        assert pod["automountServiceAccountToken"] is False
        assert pod["enableServiceLinks"] is False
        kinds = {"emptyDir", "configMap", "secret", "persistentVolumeClaim"}
        assert all(set(volume) - {"name"} <= kinds for volume in pod["volumes"])
    for container in _containers(objects):
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
    assert _one(objects, "ServiceAccount")["automountServiceAccountToken"] is False


def test_openshift_chooses_user_and_groups() -> None:
    for pod in _pods(template("teacher", "--values=teacher/ci/openshift-values.yaml")):
        assert not {"runAsUser", "runAsGroup", "fsGroup"} & set(pod["securityContext"])


@pytest.mark.parametrize("values", CI)
def test_no_manifest_holds_a_secret(values: str) -> None:
    objects = template("teacher", values)
    assert not [one for one in objects if one["kind"] == "Secret"]
    for container in _containers(objects):
        for variable in container["env"]:
            if any(word in variable["name"] for word in ("KEY", "TOKEN", "SECRET", "PASSWORD")):
                assert set(variable) == {"name", "valueFrom"}, variable["name"]
        assert not [word for word in container.get("args", ()) if word.startswith(("--api-key", "--hf-token"))]


def test_the_api_key_comes_by_vllms_own_variable() -> None:
    server = _one(template("teacher", GPU), "Deployment")["spec"]["template"]["spec"]["containers"][0]
    variables = {each["name"]: each for each in server["env"]}
    assert variables["VLLM_API_KEY"]["valueFrom"] == {"secretKeyRef": {"name": "tutelage-teacher", "key": "api-key"}}
    assert "--tensor-parallel-size=2" in server["args"]
    assert server["resources"]["limits"] == {"memory": "16Gi", "nvidia.com/gpu": 2}


@pytest.mark.parametrize("values", CI)
def test_one_value_moves_all_images(values: str) -> None:
    objects = template("teacher", values, "--set=global.imageRegistry=mirror.example.org/all")
    images = [container["image"] for container in _containers(objects)]
    assert images
    assert all(image.startswith("mirror.example.org/all/") for image in images)


def test_loading_time_decides_how_long_a_pod_may_start() -> None:
    spec = _one(template("teacher", GPU, "--set=model.loadingMinutes=45"), "Deployment")["spec"]
    server = spec["template"]["spec"]["containers"][0]
    probe = server["startupProbe"]
    assert probe["periodSeconds"] * probe["failureThreshold"] == 45 * 60
    assert spec["progressDeadlineSeconds"] > 45 * 60
    assert {"name": "VLLM_ENGINE_READY_TIMEOUT_S", "value": str(45 * 60)} in server["env"]


def _notes(values: str, folder: Path) -> str:
    """The notes, by way of a ConfigMap: `helm template` leaves them out, and `helm install` needs a cluster."""
    templates = shutil.copytree(CHART, folder / "teacher") / "templates"
    notes = (templates / "NOTES.txt").read_text()
    (templates / "_notes.tpl").write_text(f'{{{{- define "notes" -}}}}\n{notes}{{{{- end }}}}')
    lines = ["apiVersion: v1", "kind: ConfigMap", "metadata: {name: notes}", "data:", "  notes: |"]
    (templates / "notes.yaml").write_text("\n".join([*lines, '    {{- include "notes" . | nindent 4 }}']))
    return str(_one(template(str(templates.parent), values), "ConfigMap")["data"]["notes"])


@pytest.mark.parametrize("values", CI)
def test_notes_hold_a_teacher_that_a_recipe_takes(values: str, tmp_path: Path) -> None:
    notes = _notes(values, tmp_path)
    block = notes[notes.index("  teacher:\n") :].partition("\n\n")[0]
    settings = OpenAISettings.model_validate(yaml.safe_load(block)["teacher"])
    assert settings.endpoints[0].endswith("://teacher.ai.svc:8000/v1")
    keyed = "VLLM_API_KEY" in json.dumps(template("teacher", values))
    assert settings.api_key_variable == ("TEACHER_API_KEY" if keyed else "")
    assert ("WARNING: there is no API key" in notes) is not keyed


def test_names_follow_the_release() -> None:
    def named(release: str, *arguments: str) -> str:
        return str(_one(template("teacher", CPU, *arguments, release=release), "Service")["metadata"]["name"])

    assert named("teacher") == "teacher"
    assert named("big") == "big-teacher"
    assert named("big", "--set=fullnameOverride=judge") == "judge"
