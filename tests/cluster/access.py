"""The cluster that the tests run on, and a namespace of one test on it."""

import json
import os
import shutil
import subprocess
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

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
"""What Kubeflow Pipelines runs steps as, and makes itself."""

ACCOUNTS = ("default", STEP_ACCOUNT)

PRODUCT = Path(__file__).parents[2] / "k8s" / "base"
PRODUCT_FILES = ("serviceaccount.yaml", "role.yaml", "rolebinding.yaml", "trainingruntime.yaml")
"""What Tutelage ships for a team's namespace, so that tests have exactly its rights."""


@dataclass(frozen=True)
class Cluster:
    """A cluster by its kubeconfig; `own` when it is the node that this machine made, which may be broken at will."""

    kubeconfig: Path
    own: bool

    def kubectl(self, *arguments: str, text: str | None = None, check: bool = True) -> str:
        """Run kubectl; returns what it says on standard output, or, when a failure is expected, on both."""
        built = KUBERNETES.file("kubectl")
        program = str(built) if built.exists() else shutil.which("kubectl") or "kubectl"
        command = [program, f"--kubeconfig={self.kubeconfig}", *arguments]
        done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=600)
        if check and done.returncode:
            raise AssertionError(f"kubectl {' '.join(arguments)}: {done.stderr}")
        return done.stdout if check else done.stdout + done.stderr

    def apply(self, *objects: Object, namespace: str = "default") -> None:
        """Create or change objects."""
        listed = {"apiVersion": "v1", "kind": "List", "items": list(objects)}
        self.kubectl("apply", "--server-side", f"--namespace={namespace}", "-f", "-", text=json.dumps(listed))

    def get(self, *what: str, namespace: str = "default") -> Object:
        """One object, or a List."""
        return dict(json.loads(self.kubectl("get", *what, f"--namespace={namespace}", "-o", "json")))


@dataclass(frozen=True)
class Namespace:
    """A namespace of one test: restricted pods, a bucket, the keys to it, the authority, and what the product ships."""

    cluster: Cluster
    name: str = field(default_factory=lambda: f"test-{uuid.uuid4().hex[:8]}")

    @property
    def bucket(self) -> str:
        """The test's bucket is called as the namespace is."""
        return self.name

    @property
    def store(self) -> str:
        """URI of the test's bucket."""
        return f"s3://{self.bucket}"

    def fill(self, keys: dict[str, str], authority: str) -> None:
        """Make the namespace and all that a job finds in it."""
        labels = {**RESTRICTED, "app.kubernetes.io/part-of": "tutelage-tests"}
        self.cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.name, "labels": labels}})
        secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": S3_SECRET}, "stringData": keys}
        bundle = {"metadata": {"name": AUTHORITY_CONFIG_MAP}, "data": {"ca.crt": authority}}
        # The controller makes `default` a moment later, and a pod made before it is refused.
        accounts = [{"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}} for name in ACCOUNTS]
        authority_map = {"apiVersion": "v1", "kind": "ConfigMap", **bundle}
        self.cluster.apply(secret, authority_map, *accounts, namespace=self.name)
        self.apply_product()

    def apply_product(self) -> None:
        """Apply what Tutelage ships for a namespace."""
        for name in PRODUCT_FILES:
            self.kubectl("apply", "--server-side", "-f", str(PRODUCT / name))

    def remove(self) -> None:
        """Delete it; returns when its pods are gone, which would take the processor from the next test."""
        self.cluster.kubectl("delete", "namespace", self.name, "--wait", "--timeout=180s")

    def kubectl(self, *arguments: str, text: str | None = None, check: bool = True) -> str:
        """kubectl in this namespace."""
        return self.cluster.kubectl(f"--namespace={self.name}", *arguments, text=text, check=check)


def named_kubeconfig() -> Path | None:
    """The file that KUBECONFIG names."""
    named = os.environ.get("KUBECONFIG", "").split(os.pathsep)[0]
    return Path(named) if named else None
