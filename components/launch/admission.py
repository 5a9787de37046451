"""Why an API server's admission refuses an object, told apart by its words: each cause has a remedy of its own.

The words are those of Kubernetes' own admission plugins (1.27 to 1.34), of OpenShift's, and of Kubeflow Trainer's
webhook; the same come in events, when a controller is refused the pods of a job.
"""

import re
from dataclasses import dataclass

PODS = "the placement's pods or launch.pods"


@dataclass(frozen=True)
class Cause:
    """A cause: what its message looks like, the rule behind it, and the remedy, which may use the pattern's groups."""

    pattern: str
    rule: str
    remedy: str


CAUSES = (
    Cause(
        r"runtimeRef.*not found|TrainingRuntime\S* .*not found",
        "a TrainJob refers to a runtime",
        "apply k8s/base/trainingruntime.yaml to namespace {namespace}, or name one of its own in "
        "launch.training_runtime",
    ),
    Cause(
        r'error looking up service account (?:\S+/)?(?P<name>[^\s:]+)|serviceaccount "(?P<other>[^"]+)" not found',
        "pods run as a service account of their namespace",
        f"kubectl create -n {{namespace}} serviceaccount {{name}}, or name another one: service_account in {PODS}",
    ),
    Cause(
        r"exceeded quota: (?P<name>[^\s,]+)|insufficient quota",
        "a ResourceQuota limits what the namespace may hold at a time",
        "wait for other jobs to end, ask for less (launch.nodes, launch.pods), or raise the quota {name} "
        "(kubectl describe -n {namespace} resourcequota)",
    ),
    Cause(
        r"failed quota: (?P<name>[^\s:]+): must specify",
        "a ResourceQuota on a resource wants every container to say how much of it it takes",
        "let a LimitRange of namespace {namespace} give defaults (limitRange.enabled of charts/tutelage), or set "
        f"what it names in {PODS}",
    ),
    Cause(
        r"(?:maximum|minimum) \S+ usage per|max limit to request ratio",
        "a LimitRange limits the size of each pod and container",
        "ask for as much as it allows (launch.pods, placement.tasks; kubectl describe -n {namespace} limitrange), or "
        "change the LimitRange",
    ),
    Cause(
        r'violates PodSecurity "(?P<name>[^"]+)"|unable to validate against any security context constraint',
        "a pod security policy of the namespace",
        f"set user in {PODS} to one that the namespace allows, or allow what it names in namespace {{namespace}}; "
        "Tutelage's own pods pass the restricted standard",
    ),
    Cause(
        r"no PriorityClass with name (?P<name>\S+) was found",
        "a pod's priority class is an object of the cluster",
        f"create PriorityClass {{name}}, or name another one: priority_class in {PODS}",
    ),
    Cause(
        r'RuntimeClass "(?P<name>[^"]+)" not found',
        "a pod's runtime class is an object of the cluster",
        "create RuntimeClass {name}, or correct the policy that puts it on pods of namespace {namespace}",
    ),
    Cause(
        r"because it is being terminated",
        "nothing can be created in a namespace that is being deleted",
        "wait until namespace {namespace} is gone and create it again, or use another one",
    ),
    Cause(
        r"node label selector conflicts|tolerations .*(?:conflict|whitelist)",
        "the namespace says on which nodes its pods may run",
        f"correct node_selector or tolerations in {PODS}",
    ),
    Cause(
        r"image policy webhook|images? .*(?:not signed|signature|untrusted)",
        "a policy says which images may run",
        f"use an image that it allows: image in {PODS}",
    ),
    Cause(
        r"set blockOwnerDeletion|set an ownerRef",
        "who makes an object that another owns needs rights on the owner",
        "give the steps' service account the right to update finalizers of workflows.argoproj.io in namespace "
        "{namespace}",
    ),
    Cause(
        r'admission webhook "(?P<name>[^"]+)" denied|ValidatingAdmissionPolicy \'(?P<other>[^\']+)\'',
        "admission webhook or policy {name}",
        "do what its words ask for, in the recipe or the placement, or ask who runs {name}",
    ),
)


@dataclass(frozen=True)
class Advice:
    """The rule behind a refusal, and what to do."""

    rule: str
    remedy: str


OTHER = Advice(
    "a policy of the namespace or of the cluster", "do what its words ask for, or ask the cluster's administrators"
)


def advise(text: str, namespace: str) -> Advice | None:
    """What to do about an admission's refusal; None where its cause is not known.

    Args:
        text: the message of the API server, or of an event.
        namespace: where the object was to be.
    """
    for cause in CAUSES:
        if found := re.search(cause.pattern, text):
            groups = found.groupdict()
            named = {"name": groups.get("name") or groups.get("other") or "", "namespace": namespace}
            return Advice(_filled(cause.rule, named), _filled(cause.remedy, named))
    return None


def _filled(text: str, named: dict[str, str]) -> str:
    """Without the space that a name leaves where the message has none."""
    return " ".join(text.format(**named).split())
