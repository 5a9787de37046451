"""The cluster that the tests run on, and the namespace of one test."""

import json
import os
import shutil
import subprocess
import time
import uuid
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from kubernetes import client, config

from tests.cluster.node.programs import KUBERNETES

Object = dict[str, Any]

RESTRICTED = {
    "pod-security.kubernetes.io/enforce": "restricted",
    "pod-security.kubernetes.io/enforce-version": "latest",
}
S3_SECRET = "s3"
"""The Secret with AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in every test's namespace."""

AUTHORITY_CONFIG_MAP = "certificate-authority"
"""The ConfigMap with the storage's authority at `ca.crt`."""

STEP_ACCOUNT = "pipeline-runner"
"""The service account of steps, which Kubeflow Pipelines creates itself."""

ACCOUNTS = ("default", STEP_ACCOUNT)

PRODUCT = Path(__file__).parents[2] / "k8s" / "base"
PRODUCT_FILES = ("serviceaccount.yaml", "role.yaml", "rolebinding.yaml", "trainingruntime.yaml")
"""What Tutelage ships for a team's namespace, so that tests have exactly its rights."""

LISTED = {
    "pods": "/api/v1",
    "trainjobs": "/apis/trainer.kubeflow.org/v1alpha1",
    "pytorchjobs": "/apis/kubeflow.org/v1",
    "jobsets": "/apis/jobset.x-k8s.io/v1alpha2",
    "rayjobs": "/apis/ray.io/v1",
}
"""Where the API has the kinds that tests ask for every half second while they wait. An answer takes 1 ms of processor
time, by kubectl 70 ms."""

APPLY = ("apply", "--server-side", "--validate=false")
"""The API server refuses fields that it does not know in any case; kubectl would first fetch all schemas."""

NOT_OBSERVED = "must be created before the TrainJob is created"
"""Trainer's webhook says this of a runtime that exists, until its cache has it."""
OBSERVED_SECONDS = 20.0


@dataclass(frozen=True)
class Cluster:
    """A cluster by its kubeconfig; `own` when it is this machine's node, which tests may break."""

    kubeconfig: Path
    own: bool

    def kubectl(self, *arguments: str, text: str | None = None, check: bool = True) -> str:
        """Run kubectl; returns its standard output, or, when a failure is expected, both outputs."""
        built = KUBERNETES.file("kubectl")
        program = str(built) if built.exists() else shutil.which("kubectl") or "kubectl"
        command = [program, f"--kubeconfig={self.kubeconfig}", *arguments]
        done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=600)
        if check and done.returncode:
            raise AssertionError(f"kubectl {' '.join(arguments)}: {done.stderr}")
        return done.stdout if check else done.stdout + done.stderr

    def apply(self, *objects: Object, namespace: str = "default") -> None:
        """Create or change objects; again for a few seconds where Trainer has not observed a runtime among them yet."""
        listed = json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)})
        deadline = time.monotonic() + OBSERVED_SECONDS
        while True:
            try:
                self.kubectl(*APPLY, f"--namespace={namespace}", "-f", "-", text=listed)
                return
            except AssertionError as error:
                if NOT_OBSERVED not in str(error) or time.monotonic() > deadline:
                    raise
                time.sleep(0.5)

    def get(self, *what: str, namespace: str = "default") -> Object:
        """One object, or a List."""
        return dict(json.loads(self.kubectl("get", *what, f"--namespace={namespace}", "-o", "json")))

    def list_objects(self, plural: str, selector: str = "", namespace: str = "default") -> list[Object]:
        """The objects of a kind in a namespace."""
        path, query = f"{LISTED[plural]}/namespaces/{namespace}/{plural}", [("labelSelector", selector)]
        found, _, _ = _api(self.kubeconfig).call_api(path, "GET", query_params=query, response_type="object")
        return list(found["items"])


@dataclass(frozen=True)
class Namespace:
    """A namespace of one test: restricted pods, a bucket with its keys, the authority, and what the product ships."""

    cluster: Cluster
    name: str = field(default_factory=lambda: f"test-{uuid.uuid4().hex[:8]}")

    @property
    def bucket(self) -> str:
        """The test's bucket has the namespace's name."""
        return self.name

    @property
    def store(self) -> str:
        """URI of the test's bucket."""
        return f"s3://{self.bucket}"

    def fill(self, keys: dict[str, str], authority: str) -> None:
        """Create the namespace and all that a job needs in it."""
        labels = {**RESTRICTED, "app.kubernetes.io/part-of": "tutelage-tests"}
        self.cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.name, "labels": labels}})
        secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": S3_SECRET}, "stringData": keys}
        bundle = {"metadata": {"name": AUTHORITY_CONFIG_MAP}, "data": {"ca.crt": authority}}
        # The controller creates `default` a moment later, and a pod before it is refused.
        accounts = [{"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}} for name in ACCOUNTS]
        authority_map = {"apiVersion": "v1", "kind": "ConfigMap", **bundle}
        self.cluster.apply(secret, authority_map, *accounts, namespace=self.name)
        self.apply_product()

    def apply_product(self) -> None:
        """Apply what Tutelage ships for a namespace."""
        files = (argument for name in PRODUCT_FILES for argument in ("-f", str(PRODUCT / name)))
        self.kubectl(*APPLY, *files)

    def remove(self) -> None:
        """Delete it, and wait until it is gone."""
        self.begin_removal()
        self.require_gone()

    def begin_removal(self) -> None:
        """Delete it, and wait for its pods alone, which would use the processor during the next test."""
        self.cluster.kubectl("delete", "namespace", self.name, "--wait=false")
        self.kubectl("delete", "pods", "--all", "--grace-period=1", "--timeout=180s")

    def require_gone(self) -> None:
        """Wait until it is gone: nothing may hold an object in it. Fails after 3 min."""
        self.cluster.kubectl("wait", "--for=delete", f"namespace/{self.name}", "--timeout=180s")

    def kubectl(self, *arguments: str, text: str | None = None, check: bool = True) -> str:
        """kubectl in this namespace."""
        return self.cluster.kubectl(f"--namespace={self.name}", *arguments, text=text, check=check)


@cache
def _api(kubeconfig: Path) -> client.ApiClient:
    """A client that keeps its connection."""
    return config.new_client_from_config(str(kubeconfig))


def named_kubeconfig() -> Path | None:
    """The file that KUBECONFIG names."""
    named = os.environ.get("KUBECONFIG", "").split(os.pathsep)[0]
    return Path(named) if named else None
