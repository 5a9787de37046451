"""Refusals of an API server's admission: each cause has its own remedy. The messages are Kubernetes' own."""

import json

import pytest
from kubernetes.client import ApiException

from components.launch.api.refusals import Forbidden, MissingRight, refusal
from components.launch.api.resources import PODS

TOO_LARGE = (
    'pods "x" is forbidden: [maximum cpu usage per Pod is 2, but limit is 4, maximum memory usage per Pod is 4Gi]'
)
STANDARD = (
    'pods "x" is forbidden: violates PodSecurity "restricted:latest": runAsNonRoot != true (pod or container "c")'
)
CASES = [
    (
        'pods "x" is forbidden: error looking up service account team/trainer: serviceaccount "trainer" not found',
        ["kubectl create -n team serviceaccount trainer", "service_account"],
    ),
    (
        'pods "x" is forbidden: exceeded quota: compute, requested: cpu=4, used: cpu=2, limited: cpu=4',
        ["request less", "raise the quota compute"],
    ),
    (
        'pods "x" is forbidden: insufficient quota to match these scopes: [{PriorityClass In [high]}]',
        ["raise the quota (kubectl describe -n team resourcequota)"],
    ),
    ('pods "x" is forbidden: failed quota: compute: must specify limits.memory for: main', ["LimitRange", "team"]),
    (TOO_LARGE, ["request as much as it allows", "limitrange"]),
    ('pods "x" is forbidden: minimum cpu usage per Container is 100m, but request is 50m', ["limitrange"]),
    (STANDARD, ["user in the placement's pods", "namespace team"]),
    (
        'pods "x" is forbidden: unable to validate against any security context constraint: [provider "anyuid": '
        "Forbidden: not usable by user or serviceaccount]",
        ["user in the placement's pods"],
    ),
    ('pods "x" is forbidden: no PriorityClass with name high was found', ["PriorityClass high", "priority_class"]),
    ('pods "x" is forbidden: pod rejected: RuntimeClass "nvidia" not found', ["RuntimeClass nvidia"]),
    (
        'pods "x" is forbidden: unable to create new content in namespace team because it is being terminated',
        ["wait until namespace team is gone"],
    ),
    (
        'pods "x" is forbidden: pod node label selector conflicts with its namespace node label selector',
        ["node_selector"],
    ),
    ('admission webhook "vpod.example.org" denied the request: no', ["vpod.example.org", "follow its message"]),
    (
        "pods \"x\" is forbidden: ValidatingAdmissionPolicy 'owners' with binding 'all' denied request: no label owner",
        ["administrators of owners"],
    ),
    (
        'pods "x" is forbidden: cannot set blockOwnerDeletion if an ownerReference refers to a resource you can\'t set '
        "finalizers on: , <nil>",
        ["finalizers"],
    ),
    (
        'admission webhook "validator.trainjob.trainer.kubeflow.org" denied the request: spec.runtimeRef: Invalid '
        'value: TrainingRuntime "tutelage" not found',
        ["k8s/base/trainingruntime.yaml"],
    ),
    ("Forbidden", ["ask the cluster's administrators"]),
]


def refused(message: str) -> Exception:
    body = json.dumps({"kind": "Status", "message": message, "reason": "Forbidden"})
    error = ApiException(status=403, reason="Forbidden")
    error.body = body
    return refusal(error, "create", PODS, "team")


@pytest.mark.parametrize(("message", "expected"), CASES, ids=[case[1][0][:24] for case in CASES])
def test_each_cause_has_its_own_remedy(message: str, expected: list[str]) -> None:
    error = refused(message)
    assert isinstance(error, Forbidden) and not isinstance(error, MissingRight)
    assert message in error.problem and error.rule
    for words in expected:
        assert words in error.remedy
    assert ("quota" in error.remedy) == ("quota" in message and "must specify" not in message)


def test_a_missing_right_is_distinguished_from_a_policy() -> None:
    error = refused('pods is forbidden: User "system:serviceaccount:team:default-editor" cannot list resource "pods"')
    assert isinstance(error, MissingRight) and "default-editor" in error.problem
