"""The programs that the node and its operators consist of: Go modules at exact versions."""

from dataclasses import dataclass
from pathlib import Path

from tests.cluster.node.places import CACHE


@dataclass(frozen=True)
class Program:
    """One Go module, and what is built from it into a folder of the cache.

    `packages` are import paths; without `files`, the one package's program is named as the Program is.
    `static` programs run in an image that holds nothing else.
    """

    name: str
    version: str
    module: str
    packages: tuple[str, ...]
    files: tuple[str, ...] = ()
    static: bool = False
    link_flags: str = ""

    @property
    def folder(self) -> Path:
        """Where its files are: shared by all checkouts, by version."""
        return CACHE / f"{self.name}-{self.version}"

    def file(self, name: str = "") -> Path:
        """One of its programs; without a name, the only one."""
        return self.folder / (name or self.name)

    @property
    def built(self) -> bool:
        """Whether all its programs exist."""
        return all(self.file(name).exists() for name in self.files or ("",))

    @property
    def image(self) -> str:
        """The image that wraps a static program."""
        return f"localhost/tutelage-node/{self.name}:{self.version}"


def _kubernetes(version: str) -> Program:
    _, minor, _ = version.split(".")
    component = "k8s.io/component-base/version"
    # Without these it calls itself v0.0.0, and charts that require a version of Kubernetes refuse it.
    stamps = (
        f"{component}.gitVersion=v{version}",
        f"{component}.gitMajor=1",
        f"{component}.gitMinor={minor}",
        f"k8s.io/client-go/pkg/version.gitVersion=v{version}",
    )
    files = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kubectl", "kube-proxy")
    packages = tuple(f"k8s.io/kubernetes/cmd/{file}" for file in files)
    flags = " ".join(f"-X {stamp}" for stamp in stamps)
    return Program("kubernetes", version, "k8s.io/kubernetes", packages, files, link_flags=flags)


def _go(name: str, version: str, module: str, command: str = "", static: bool = False) -> Program:
    package = f"{module}/{command}" if command else module
    return Program(name, version, module, (package,), static=static)


def _trainer(version: str) -> Program:
    return _go("trainer", version, "github.com/kubeflow/trainer/v2", "cmd/trainer-controller-manager", static=True)


# 1.34 is the last Kubernetes that runs on cgroup v1.
KUBERNETES = _kubernetes("1.34.4")
ETCD = _go("etcd", "3.6.4", "go.etcd.io/etcd/server/v3")
COREDNS = _go("coredns", "1.14.7", "github.com/coredns/coredns")
HELM = _go("helm", "3.22.0", "helm.sh/helm/v3", "cmd/helm")
HELM_UNITTEST = _go("helm-unittest", "1.0.3", "github.com/helm-unittest/helm-unittest", "cmd/helm-unittest")
HELM_DOCS = _go("helm-docs", "1.14.2", "github.com/norwoodj/helm-docs", "cmd/helm-docs")
# BuildKit's daemon and buildx build the bake file without Docker.
BUILDKITD = _go("buildkitd", "0.34.2", "github.com/moby/buildkit", "cmd/buildkitd", static=True)
BUILDX = _go("buildx", "0.38.2", "github.com/docker/buildx", "cmd/buildx")
KUBECONFORM = _go("kubeconform", "0.7.0", "github.com/yannh/kubeconform", "cmd/kubeconform")
JOBSET = _go("jobset", "0.12.0", "sigs.k8s.io/jobset", static=True)
TRAINERS = {version: _trainer(version) for version in ("2.1.0", "2.3.0")}
KUBERAY = _go("kuberay", "1.6.0", "github.com/ray-project/kuberay/ray-operator", static=True)
TRAINING_OPERATOR = _go(
    "training-operator", "1.9.4", "github.com/kubeflow/training-operator", "cmd/training-operator.v1", static=True
)
# 0.19 supports the TrainJobs of Trainer 2.2 and later; it is installed for single tests only.
KUEUE = _go("kueue", "0.19.0", "sigs.k8s.io/kueue", "cmd/kueue", static=True)
VERSITYGW = _go("versitygw", "1.8.0", "github.com/versity/versitygw", "cmd/versitygw", static=True)

PROGRAMS = (
    *(KUBERNETES, ETCD, COREDNS, JOBSET, *TRAINERS.values(), KUBERAY, TRAINING_OPERATOR, KUEUE, VERSITYGW),
    *(HELM, HELM_UNITTEST, HELM_DOCS, KUBECONFORM, BUILDKITD, BUILDX),
)
"""All of them, in the order in which they are built."""
