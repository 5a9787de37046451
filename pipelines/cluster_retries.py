"""Whether Argo starts a step's pod again that failed, by the defaults of its controller."""

from typing import Any

import yaml

from components.launch.cluster import Cluster
from components.launch.refusals import Unreachable
from components.shared.errors import JobError
from components.shared.retry import RETRIES_EXIT_CODES
from pipelines.cluster_objects import CONFIG_MAPS
from pipelines.doctor import Finding

WHAT = "retries"
KUBEFLOW = "kubeflow"
"""The namespace that Kubeflow's manifests install Argo's controller in."""
CONTROLLER = "workflow-controller-configmap"
IN_POD = "a step tries again within its pod what may pass (a store, teacher or API server out of reach, a lost job)"
LEFT_OUT = "a step that is killed, for want of memory say, is not started again"


def examine_retries(steps: Cluster) -> Finding:
    """Look into the controller's ConfigMap, in Kubeflow's namespace or that of the steps."""
    config = None
    for cluster in (steps.beside(KUBEFLOW), steps):
        try:
            config = config or cluster.get(CONFIG_MAPS, CONTROLLER)
        except (JobError, Unreachable) as error:
            why = error.problem if isinstance(error, JobError) else str(error)
            return Finding(WHAT, True, f"not checked: {why}. KFP 2.17's default is retryPolicy OnError: {IN_POD}")
    if config is None:
        return Finding(WHAT, True, f"not checked: no ConfigMap {CONTROLLER} in namespace {KUBEFLOW}")
    return _judged(str(config["metadata"].get("namespace") or KUBEFLOW), config.get("data") or {})


def _judged(namespace: str, data: dict[str, Any]) -> Finding:
    try:
        policy = _policy(data)
    except (yaml.YAMLError, AttributeError):
        return Finding(WHAT, True, f"not checked: ConfigMap {namespace}/{CONTROLLER} holds no workflowDefaults in YAML")
    if not policy or policy in RETRIES_EXIT_CODES:
        told = policy or "is left to the pipeline"
        return Finding(WHAT, True, f"failed steps are started again (retryPolicy {told})")
    return Finding(
        WHAT,
        True,
        f"workflowDefaults of ConfigMap {namespace}/{CONTROLLER} say retryPolicy {policy}, "
        f"so Argo starts no step again that ended with an exit code: {IN_POD}; {LEFT_OUT}",
        "nothing, or have an administrator take templateDefaults.retryStrategy out of it: then pods that failed are "
        "started again, but pods that were lost are not",
        warning=True,
    )


def _policy(data: dict[str, Any]) -> str:
    """The policy that is merged into the templates of every workflow; nothing where there is none.

    Raises:
        YAMLError, AttributeError: the text is not what Argo reads.
    """
    # All of the configuration may stand under one key, `config`.
    whole = yaml.safe_load(data.get("config") or "") or {}
    defaults = yaml.safe_load(data["workflowDefaults"]) if "workflowDefaults" in data else whole.get("workflowDefaults")
    spec = (defaults or {}).get("spec") or {}
    strategy = (spec.get("templateDefaults") or {}).get("retryStrategy") or {}
    return str(strategy.get("retryPolicy") or "")
