"""Why admission refuses an object, by the API server's message: each cause has a remedy of its own.

The messages are those of Kubernetes' own admission plugins (1.27 to 1.34), of OpenShift's, and of Kubeflow Trainer's
webhook. Events have the same messages, when a controller may not create the pods of a job.
"""

import re
from dataclasses import dataclass

PODS = "the placement's pods or launch.pods"


@dataclass(frozen=True)
class AdmissionCause:
    """A cause: the pattern of its message, the rule behind it, and the remedy, which may use the pattern's groups."""

    pattern: str
    rule: str
    remedy: str


CAUSES = (
    AdmissionCause(
        r"runtimeRef.*not found|TrainingRuntime\S* .*not found",
        "a TrainJob refers to a runtime",
        "apply k8s/base/trainingruntime.yaml to namespace {namespace}, or name one of its own in "
        "launch.training_runtime",
    ),
    AdmissionCause(
        r'error looking up service account (?:\S+/)?(?P<name>[^\s:]+)|serviceaccount "(?P<other>[^"]+)" not found',
        "pods run as a service account of their namespace",
        f"kubectl create -n {{namespace}} serviceaccount {{name}}, or name another one: service_account in {PODS}",
    ),
    AdmissionCause(
        r"exceeded quota: (?P<name>[^\s,]+)|insufficient quota",
        "a ResourceQuota limits what the namespace may use at a time",
        "wait for other jobs to end, request less (launch.nodes, launch.pods), or raise the quota {name} "
        "(kubectl describe -n {namespace} resourcequota)",
    ),
    AdmissionCause(
        r"failed quota: (?P<name>[^\s:]+): must specify",
        "with a ResourceQuota on a resource, every container must set its request or limit of it",
        "let a LimitRange of namespace {namespace} set defaults (limitRange.enabled of charts/tutelage), or set "
        f"what it names in {PODS}",
    ),
    AdmissionCause(
        r"(?:maximum|minimum) \S+ usage per|max limit to request ratio",
        "a LimitRange limits the size of each pod and container",
        "request as much as it allows (launch.pods, placement.tasks; kubectl describe -n {namespace} limitrange), or "
        "change the LimitRange",
    ),
    AdmissionCause(
        r'violates PodSecurity "(?P<name>[^"]+)"|unable to validate against any security context constraint',
        "a pod security policy of the namespace",
        f"set user in {PODS} to one that the namespace allows, or allow what it names in namespace {{namespace}}; "
        "Tutelage's own pods pass the restricted standard",
    ),
    AdmissionCause(
        r"no PriorityClass with name (?P<name>\S+) was found",
        "a pod's priority class is an object of the cluster",
        f"create PriorityClass {{name}}, or name another one: priority_class in {PODS}",
    ),
    AdmissionCause(
        r'RuntimeClass "(?P<name>[^"]+)" not found',
        "a pod's runtime class is an object of the cluster",
        "create RuntimeClass {name}, or correct the policy that puts it on pods of namespace {namespace}",
    ),
    AdmissionCause(
        r"because it is being terminated",
        "nothing can be created in a namespace that is being deleted",
        "wait until namespace {namespace} is gone and create it again, or use another one",
    ),
    AdmissionCause(
        r"node label selector conflicts|tolerations .*(?:conflict|whitelist)",
        "the namespace restricts the nodes on which its pods may run",
        f"correct node_selector or tolerations in {PODS}",
    ),
    AdmissionCause(
        r"image policy webhook|images? .*(?:not signed|signature|untrusted)",
        "a policy restricts which images may run",
        f"use an image that it allows: image in {PODS}",
    ),
    AdmissionCause(
        r"set blockOwnerDeletion|set an ownerRef",
        "creating an object with an owner needs rights on the owner",
        "give the steps' service account the right to update finalizers of workflows.argoproj.io in namespace "
        "{namespace}",
    ),
    AdmissionCause(
        r'admission webhook "(?P<name>[^"]+)" denied|ValidatingAdmissionPolicy \'(?P<other>[^\']+)\'',
        "admission webhook or policy {name}",
        "follow its message, in the recipe or the placement, or ask the administrators of {name}",
    ),
)


@dataclass(frozen=True)
class AdmissionAdvice:
    """The rule behind a refusal, and what to do."""

    rule: str
    remedy: str


OTHER = AdmissionAdvice(
    "a policy of the namespace or of the cluster", "follow its message, or ask the cluster's administrators"
)


def advise(text: str, namespace: str) -> AdmissionAdvice | None:
    """What to do about a refusal by admission; None where its cause is not known.

    Args:
        text: the message of the API server, or of an event.
        namespace: of the object.
    """
    for cause in CAUSES:
        if found := re.search(cause.pattern, text):
            groups = found.groupdict()
            named = {"name": groups.get("name") or groups.get("other") or "", "namespace": namespace}
            return AdmissionAdvice(_filled(cause.rule, named), _filled(cause.remedy, named))
    return None


def _filled(text: str, named: dict[str, str]) -> str:
    """The text with the names filled in, without the space that an empty name leaves."""
    return " ".join(text.format(**named).split())
