"""What `k8s/` ships: its folders for kustomize, and its single files."""

from pathlib import Path

K8S = Path(__file__).parents[2] / "k8s"
KUSTOMIZATIONS = sorted(path.parent for path in K8S.rglob("kustomization.yaml"))
SAMPLES = sorted((K8S / "samples").glob("*.yaml"))
SINGLE = [*SAMPLES, *(K8S / "kind" / name for name in ("storage.yaml", "pipelines-port.yaml"))]
"""Files that a user or a script applies as they are."""

PIPELINES = K8S.parent / "pipelines"
PLACEMENTS = sorted([*K8S.rglob("placement.yaml"), *(PIPELINES / "placements").glob("*.yaml")])
"""Files that a user hands to `--placement`."""

CHARTS = K8S.parent / "charts"
VALUES = sorted(CHARTS.glob("*/ci/*-values.yaml"))
"""Each chart's values for tests; the chart is two folders up."""


def name_of(path: Path) -> str:
    """A path as test ids show it."""
    return str(path.relative_to(K8S if path.is_relative_to(K8S) else K8S.parent))
