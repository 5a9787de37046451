"""Who starts a job, and that the API server's certificate is verified."""

import ssl
import subprocess
from collections.abc import Iterator
from http.server import HTTPServer
from pathlib import Path

import pytest
import yaml

from components.launch.api import connect as connecting
from components.launch.api.clock import Clock
from components.launch.api.cluster import Cluster
from components.launch.api.connect import connect
from components.launch.api.resources import PODS
from components.launch.follow.identity import job_namespace, pod_stays, who_we_are
from components.shared.errors import JobError
from tests.serve import serving
from tests.unit.launch.api_server import ApiServer, _Handler
from tests.unit.launch.plain_kind import Bench

WORKFLOW = {"apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow", "name": "distill-x", "uid": "1"}


@pytest.fixture
def pod(bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """This process is a step of a pipeline run."""
    (tmp_path / "namespace").write_text("team")
    monkeypatch.setattr(connecting, "SERVICE_ACCOUNT", tmp_path)
    monkeypatch.setenv("KFP_POD_NAME", "step")
    owners = [{**WORKFLOW, "controller": True, "blockOwnerDeletion": True}]
    meta = {"name": "step", "labels": {"pipeline/runid": "run-1"}, "ownerReferences": owners}
    bench.api.put("pods", {"metadata": meta})
    return bench


def test_step_in_a_pipeline(pod: Bench) -> None:
    found = who_we_are(pod.cluster, Clock())
    assert (found.namespace, found.run, found.pod) == ("team", "run-1", "step")
    assert found.owner == {**WORKFLOW, "blockOwnerDeletion": False}


def test_job_in_another_namespace_has_no_owner(pod: Bench) -> None:
    """The garbage collector would not find the owner there, and delete the job."""
    found = who_we_are(Cluster("gpus"), Clock())
    assert (found.namespace, found.run, found.owner) == ("gpus", "run-1", None)


def test_outside_of_a_cluster(bench: Bench) -> None:
    found = who_we_are(bench.cluster, Clock())
    assert (found.namespace, found.run, found.owner) == ("team", "", None)


def test_missing_right_to_read_the_own_pod(pod: Bench) -> None:
    pod.api.denied.add(("get", "pods"))
    with pytest.raises(JobError, match="may not get pods in namespace team"):
        who_we_are(pod.cluster, Clock())


def test_namespace_is_the_settings_the_pods_or_the_contexts(
    kubeconfig: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert job_namespace("") == "team" and job_namespace("gpus") == "gpus"
    (tmp_path / "namespace").write_text("profile")
    monkeypatch.setattr(connecting, "SERVICE_ACCOUNT", tmp_path)
    assert job_namespace("") == "profile"


def test_whether_the_own_pod_stays(pod: Bench) -> None:
    assert pod_stays(pod.cluster) is True
    pod.api.status = 500
    assert pod_stays(pod.cluster) is None, "unknown: the job is left to a retry or to the exit handler"
    pod.api.status = 0
    pod.api.drop("pods", "step")
    assert pod_stays(pod.cluster) is False


def test_no_cluster_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    with pytest.raises(JobError, match="no Kubernetes cluster can be found") as caught:
        connect()
    assert "KUBECONFIG" in caught.value.remedy


def test_unverified_tls_is_refused(kubeconfig: Path) -> None:
    written = yaml.safe_load(kubeconfig.read_text())
    written["clusters"][0]["cluster"]["insecure-skip-tls-verify"] = True
    kubeconfig.write_text(yaml.safe_dump(written))
    with pytest.raises(JobError, match="insecure-skip-tls-verify"):
        connect()


@pytest.fixture
def secure(api: ApiServer, tmp_path: Path, kubeconfig: Path) -> Iterator[Path]:
    """The fake API server behind TLS; the path of its certificate."""
    certificate, key = tmp_path / "ca.crt", tmp_path / "ca.key"
    subject = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2", "-nodes"]
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", *subject]
    subprocess.run(
        [*command, "-keyout", str(key), "-out", str(certificate)], check=True, capture_output=True, timeout=600
    )
    server = HTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"api": api}))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    written = yaml.safe_load(kubeconfig.read_text())
    written["clusters"][0]["cluster"]["server"] = f"https://127.0.0.1:{server.server_address[1]}"
    kubeconfig.write_text(yaml.safe_dump(written))
    with serving(server):
        yield certificate


def test_an_untrusted_certificate_is_refused_at_once(secure: Path) -> None:
    with pytest.raises(JobError, match="certificate is not trusted") as caught:
        Cluster("team").get(PODS, "step")
    assert "certificate-authority" in caught.value.remedy


def test_the_token_of_a_pod_is_read_again_after_its_rotation(
    api: ApiServer, secure: Path, token_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The service account's files: the server's authority, and a token that the kubelet replaces."""
    from kubernetes.config import incluster_config

    server = yaml.safe_load(Path(secure.parent / "kubeconfig").read_text())["clusters"][0]["cluster"]["server"]
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", server.rpartition(":")[2])
    monkeypatch.setattr(incluster_config, "SERVICE_TOKEN_FILENAME", str(token_file))
    monkeypatch.setattr(incluster_config, "SERVICE_CERT_FILENAME", str(secure))
    api.put("pods", {"metadata": {"name": "step"}})
    api.token = "first"
    cluster = Cluster("team")
    assert cluster.get(PODS, "step")
    api.token = "second"
    token_file.write_text("second")
    assert cluster.get(PODS, "step")
