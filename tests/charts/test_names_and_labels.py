"""What values become names and labels: refused by the schema where Kubernetes would refuse the object."""

from typing import Any

import pytest

from tests.charts.programs import as_values, refusal, template

LONG, LONGER = "a" * 63, "a" * 64
JOB = "placement.jobs.train.pods"
MODEL = {"model.reference": "s3://models/x"}


SELECTOR = {"namespaceSelector": {"matchLabels": {"team": "VALUE"}}}
EXPRESSION = {"key": "zone", "operator": "In", "values": ["VALUE"]}
NODE = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [{}]}}}
NODE["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"] = [
    {"matchExpressions": [EXPRESSION]}
]
POD = {
    "podAntiAffinity": {
        "requiredDuringSchedulingIgnoredDuringExecution": [
            {"topologyKey": "zone", "labelSelector": {"matchLabels": {"app": "VALUE"}}}
        ]
    }
}
TOLERATION = {"key": "dedicated", "operator": "Equal", "value": "VALUE"}
SPREAD = {"topologyKey": "zone", "labelSelector": {"matchLabels": {"app": "VALUE"}}}
LABEL_VALUES = [
    ("tutelage", {"commonLabels": {"team": "VALUE"}}),
    ("tutelage", {"pods.labels": {"team": "VALUE"}}),
    ("tutelage", {"pods.nodeSelector": {"pool": "VALUE"}}),
    ("tutelage", {"pods.tolerations": [TOLERATION]}),
    ("tutelage", {"pods.affinity": NODE}),
    ("tutelage", {"pods.affinity": POD}),
    ("tutelage", {"monitoring.podMonitor.labels": {"release": "VALUE"}}),
    ("tutelage", {"monitoring.dashboard.labels": {"folder": "VALUE"}}),
    ("tutelage", {f"{JOB}.labels": {"team": "VALUE"}}),
    ("tutelage", {f"{JOB}.node_selector": {"pool": "VALUE"}}),
    ("tutelage", {f"{JOB}.queue": "VALUE"}),
    ("tutelage", {f"{JOB}.queue": "q", f"{JOB}.queue_priority": "VALUE"}),
    ("tutelage", {"placement.tasks.train.node_selector": {"pool": "VALUE"}}),
    ("tutelage", {"kueue.queue": "VALUE"}),
    ("tutelage", {"networkPolicy.ingress.prometheus": [SELECTOR]}),
    ("tutelage", {"networkPolicy.egress.store": {"to": [SELECTOR], "ports": [443]}}),
    ("tutelage", {"nameOverride": "VALUE"}),
    ("teacher", {"podLabels": {"team": "VALUE"}}),
    ("teacher", {"nodeSelector": {"pool": "VALUE"}}),
    ("teacher", {"tolerations": [TOLERATION]}),
    ("teacher", {"affinity": NODE}),
    ("teacher", {"affinity": POD}),
    ("teacher", {"serviceMonitor.labels": {"release": "VALUE"}}),
    ("teacher", {"networkPolicy.namespaceSelectors": [{"matchLabels": {"team": "VALUE"}}]}),
    (
        "teacher",
        {"topologySpreadConstraints": [{"topologyKey": "zone", "labelSelector": {"matchLabels": {"a": "VALUE"}}}]},
    ),
    ("teacher", {"nameOverride": "VALUE"}),
    ("teacher", {"fullnameOverride": "VALUE"}),
]


def with_word(values: Any, word: str) -> Any:
    """Values with VALUE replaced."""
    if isinstance(values, dict):
        return {name: with_word(value, word) for name, value in values.items()}
    if isinstance(values, list):
        return [with_word(value, word) for value in values]
    return word if values == "VALUE" else values


def given(chart: str, values: dict[str, Any]) -> str:
    return as_values(**(MODEL if chart == "teacher" else {}), **values)


@pytest.mark.parametrize(("chart", "values"), LABEL_VALUES, ids=lambda one: one if isinstance(one, str) else [*one][-1])
def test_a_label_value_has_63_characters_at_most(chart: str, values: dict[str, Any]) -> None:
    assert template(chart, given(chart, with_word(values, LONG)))
    for wrong in (LONGER, "-a", "a-", "a b"):
        said = refusal(chart, given(chart, with_word(values, wrong)))
        assert "don't meet the specifications of the schema" in said and f"/{[*values][-1].split('.')[0]}" in said


NAMES = [
    ("tutelage", "fullnameOverride", "a" * 40, ["a" * 41, "a.b", "-a", "A", "a."]),
    ("tutelage", "nameOverride", "post-training", ["a.b", "Post", "a_b"]),
    ("tutelage", "serviceAccount.name", "a.b-c", ["a..b", "a.-b", "a_b", "a" * 254, "a."]),
    ("tutelage", "store.secret.name", "s3.team", ["a..b", "S3", ".a"]),
    ("tutelage", "store.secret.accessKey", "access_key.TXT", ["access key", "a/b", ""]),
    ("tutelage", "certificateAuthority.configMap", "ca", ["ca_bundle", "a..b"]),
    ("tutelage", "rbac.serviceAccounts", [{"name": "a", "namespace": "b"}], [[{"name": "a", "namespace": "b.c"}]]),
    ("tutelage", "pods.priorityClassName", "high", ["High", "a..b"]),
    ("tutelage", f"{JOB}.namespace", "jobs", ["a.b", "a" * 64]),
    ("tutelage", f"{JOB}.secrets", {"K": {"secret": "a", "key": "b"}}, [{"K": {"secret": "A", "key": "b"}}]),
    ("tutelage", "commonLabels", {"example.org/team": "a"}, [{"a/b/c": "a"}, {"a" * 64: "a"}, {"-a": "a"}, {"a": 1}]),
    ("tutelage", "pods.annotations", {"example.org/note": "a" * 300}, [{"a note": "a"}]),
    ("teacher", "fullnameOverride", "judge", ["Judge", "a.b", "1a", "a_b", "a" * 64]),
    ("teacher", "apiKey.secret", "key", ["a..b", "Key"]),
    ("teacher", "podAnnotations", {"example.org/note": "a" * 300}, [{"a note": "a"}]),
    ("teacher", "podLabels", {"example.org/team": "a"}, [{"a/b/c": "a"}, {"a" * 64: "a"}]),
]


@pytest.mark.parametrize(("chart", "key", "right", "wrong"), NAMES, ids=lambda one: one if isinstance(one, str) else "")
def test_names_and_keys_are_what_kubernetes_accepts(chart: str, key: str, right: Any, wrong: list[Any]) -> None:
    assert template(chart, given(chart, {key: right}))
    for one in wrong:
        said = refusal(chart, given(chart, {key: one}))
        assert "don't meet the specifications of the schema" in said, one
