"""Operators that the manifests and charts have objects for, where the test cluster has none or an older one.

They are read for their CustomResourceDefinitions and never built; the versions are the newest of Go's module proxy.
"""

from tests.cluster.node.programs import Program


def _read(name: str, version: str, module: str) -> Program:
    return Program(name, version, module, packages=())


NEWER_KUEUE = _read("kueue", "0.19.2", "sigs.k8s.io/kueue")
"""It serves `v1beta2`, as Kueue 0.20 does that k8s/kind installs, and still `v1beta1`; the test cluster's is older."""

PROMETHEUS_OPERATOR = _read("prometheus-operator", "0.85.0", "github.com/prometheus-operator/prometheus-operator")
EXTERNAL_SECRETS = _read("external-secrets", "1.3.2", "github.com/external-secrets/external-secrets")
