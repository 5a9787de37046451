"""Pods have what the recipe sets and what programs need, and nothing that a restricted namespace refuses."""

import pytest

from components.launch.kinds.pod_template import command_of, container_of, pod_template, shared_memory_of
from components.launch.pods import Pods
from components.shared.errors import SettingsError
from tests.unit.launch.jobs import ATTEMPT, FULL_PODS, assert_restricted, ray_job, train_job, variables


def test_a_pod_passes_the_restricted_standard() -> None:
    job = train_job(FULL_PODS)
    assert_restricted(pod_template(job, ATTEMPT, container_of(job, "node"))["spec"])


def test_settings_become_fields_of_the_pod() -> None:
    job = train_job({**FULL_PODS, "priority_class": "high", "user": 4711})
    template = pod_template(job, ATTEMPT, container_of(job, "node"))
    spec = template["spec"]
    assert spec["nodeSelector"] == {"pool": "gpu"}
    assert spec["tolerations"] == [{"key": "nvidia.com/gpu", "operator": "Exists"}]
    assert spec["imagePullSecrets"] == [{"name": "registry"}]
    assert (spec["serviceAccountName"], spec["priorityClassName"]) == ("trainer", "high")
    assert (spec["securityContext"]["runAsUser"], spec["securityContext"]["fsGroup"]) == (4711, 4711)
    assert template["metadata"]["labels"]["team"] == "a"
    assert template["metadata"]["annotations"] == {"example.com/note": "x", "tutelage.dev/attempt": "2"}
    assert {"name": "data", "emptyDir": {}} in spec["volumes"]
    assert {"name": "data", "mountPath": "/data"} in spec["containers"][0]["volumeMounts"]


def test_unset_fields_are_left_out() -> None:
    spec = pod_template(train_job(), ATTEMPT, container_of(train_job(), "node"))["spec"]
    unset = {"nodeSelector", "tolerations", "affinity", "imagePullSecrets", "serviceAccountName", "priorityClassName"}
    assert not unset & set(spec)


def test_memory_is_a_limit_and_cpu_is_not() -> None:
    assert container_of(train_job(FULL_PODS), "node")["resources"] == {
        "requests": {"cpu": "1500m", "memory": "8Gi", "nvidia.com/gpu": "2"},
        "limits": {"memory": "8Gi", "nvidia.com/gpu": "2"},
    }


def test_the_job_has_its_store_and_uses_the_pods_network() -> None:
    found = variables(
        container_of(train_job(FULL_PODS, cpus_per_process=3, environment={"HF_HUB_OFFLINE": "1"}), "node")
    )
    assert found["AWS_ENDPOINT_URL"] == "https://s3.example"
    assert found["AWS_SECRET_ACCESS_KEY"] == {"secretKeyRef": {"name": "store", "key": "secret-key"}}
    assert found["AWS_CA_BUNDLE"] == found["SSL_CERT_FILE"] == found["REQUESTS_CA_BUNDLE"]
    assert found["OMP_NUM_THREADS"] == "3"
    assert found["HF_HUB_OFFLINE"] == "1"
    assert not {"GLOO_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME", "TP_SOCKET_IFNAME"} & set(found)


def test_a_variable_that_is_a_secret_is_set_by_the_secret_alone() -> None:
    pods = {**FULL_PODS, "environment": {"AWS_SECRET_ACCESS_KEY": "plain"}}
    assert "secretKeyRef" in variables(container_of(train_job(pods), "node"))["AWS_SECRET_ACCESS_KEY"]


def test_what_programs_write_goes_to_a_volume_of_limited_size() -> None:
    job = train_job({**FULL_PODS, "scratch": "3Gi"})
    spec = pod_template(job, ATTEMPT, container_of(job, "node"))["spec"]
    found = variables(spec["containers"][0])
    assert {"name": "scratch", "emptyDir": {"sizeLimit": "3Gi"}} in spec["volumes"]
    assert {"name": "scratch", "mountPath": "/tmp"} in spec["containers"][0]["volumeMounts"]
    assert all(found[name].startswith("/tmp") for name in ("HOME", "TMPDIR", "TUTELAGE_CACHE"))


@pytest.mark.parametrize(
    ("authority", "volume"),
    [
        ({"config_map": "site-ca"}, {"configMap": {"name": "site-ca", "items": [{"key": "ca.crt", "path": "ca.crt"}]}}),
        (
            {"secret": "tls", "key": "root.pem"},
            {"secret": {"secretName": "tls", "items": [{"key": "root.pem", "path": "ca.crt"}]}},
        ),
    ],
)
def test_certificates_are_mounted_where_the_variables_point(authority: dict, volume: dict) -> None:  # type: ignore[type-arg]
    job = train_job({**FULL_PODS, "certificate_authority": authority})
    spec = pod_template(job, ATTEMPT, container_of(job, "node"))["spec"]
    [container] = spec["containers"]
    assert {"name": "certificates", **volume} in spec["volumes"]
    [mount] = [each for each in container["volumeMounts"] if each["name"] == "certificates"]
    assert variables(container)["AWS_CA_BUNDLE"] == f"{mount['mountPath']}/ca.crt"
    assert mount["readOnly"] is True


@pytest.mark.parametrize(
    ("pods", "size"),
    [
        (Pods(memory="8Gi"), "4096Mi"),
        (Pods(memory="1.5Gi"), "768Mi"),
        (Pods(memory="100M"), "64Mi"),
        (Pods(memory="8Gi", shared_memory="1Gi"), "1Gi"),
    ],
)
def test_shared_memory_is_half_of_the_memory_unless_set(pods: Pods, size: str) -> None:
    assert shared_memory_of(pods) == size


def test_a_job_without_an_image_says_what_to_set() -> None:
    with pytest.raises(SettingsError, match=r"train-sft-.*") as raised:
        container_of(train_job({}), "node")
    assert raised.value.remedy == "set launch.pods.image"


def test_commands() -> None:
    assert command_of(train_job())[:6] == [
        "python",
        "-m",
        "components.launch.here.torchrun",
        "--preload",
        "-m",
        "components.train.methods.sft",
    ]
    assert command_of(ray_job())[:3] == ["python", "-m", "components.synthesize.generate"]
