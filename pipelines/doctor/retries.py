"""Whether Argo retries failed pods of steps, by the defaults of its controller."""

from typing import Any

import yaml

from components.launch.api.cluster import Cluster
from components.launch.api.refusals import Unreachable
from components.shared.errors import JobError
from components.shared.finding import Finding
from components.shared.process.retry import RETRIES_EXIT_CODES
from pipelines.doctor.objects import CONFIG_MAPS

WHAT = "retries"
KUBEFLOW = "kubeflow"
"""The namespace in which Kubeflow's manifests install Argo's controller."""
CONTROLLER = "workflow-controller-configmap"
IN_POD = "a step retries temporary failures within its pod (an unreachable store, model or API server, a lost job)"
LEFT_OUT = "a step that is killed (out of memory, for example) is not retried"


def examine_retries(steps: Cluster) -> Finding:
    """Read the controller's ConfigMap, in Kubeflow's namespace or that of the steps."""
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
        return Finding(
            WHAT,
            True,
            f"not checked: workflowDefaults of ConfigMap {namespace}/{CONTROLLER} are not YAML",
        )
    if not policy or policy in RETRIES_EXIT_CODES:
        shown = policy or "not set: the pipeline decides"
        return Finding(WHAT, True, f"failed steps are retried (retryPolicy {shown})")
    return Finding(
        WHAT,
        True,
        f"workflowDefaults of ConfigMap {namespace}/{CONTROLLER} say retryPolicy {policy}, "
        f"so Argo does not retry steps that exit with an error: {IN_POD}; {LEFT_OUT}",
        "nothing, or have an administrator remove templateDefaults.retryStrategy from it: then failed pods are "
        "retried, but lost pods are not",
        warning=True,
    )


def _policy(data: dict[str, Any]) -> str:
    """The policy that is merged into the templates of every workflow; empty where none is set.

    Raises:
        YAMLError, AttributeError: the text is not a valid configuration of Argo.
    """
    # The configuration may be under a single key, `config`.
    whole = yaml.safe_load(data.get("config") or "") or {}
    defaults = yaml.safe_load(data["workflowDefaults"]) if "workflowDefaults" in data else whole.get("workflowDefaults")
    spec = (defaults or {}).get("spec") or {}
    strategy = (spec.get("templateDefaults") or {}).get("retryStrategy") or {}
    return str(strategy.get("retryPolicy") or "")
