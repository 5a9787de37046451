"""Whose rights `tutelage doctor --cluster` checks, for logins that may ask in different ways."""

import json
from pathlib import Path

import pytest
import yaml

from components.launch.api.cluster import Cluster as Reached
from components.launch.api.connect import connect
from components.launch.registry import resources_used
from components.shared.finding import Finding
from pipelines.doctor.account import account_of_steps
from pipelines.doctor.rights import examine_rights
from tests.cluster.access import STEP_ACCOUNT, Namespace, Object

EDITOR, ADMINISTRATOR, NOBODY = "a-editor", "a-administrator", "a-nobody"


def binding(account: str, role: str) -> Object:
    """One of Kubernetes' own ClusterRoles in one namespace, as Kubeflow grants it to the members of a profile."""
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": {"name": account},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
        "subjects": [{"kind": "ServiceAccount", "name": account}],
    }


@pytest.fixture
def login(namespace: Namespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> str:
    """The account that asks; empty: the cluster's administrator."""
    account: str = request.param
    config = yaml.safe_load(namespace.cluster.kubeconfig.read_text())
    config["contexts"][0]["context"]["namespace"] = namespace.name
    if account:
        made = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": account}}
        bound = {EDITOR: [binding(EDITOR, "edit")], ADMINISTRATOR: [binding(ADMINISTRATOR, "admin")]}.get(account, [])
        namespace.cluster.apply(made, *bound, namespace=namespace.name)
        config["users"][0]["user"] = {"token": namespace.kubectl("create", "token", account).strip()}
    (tmp_path / "kubeconfig").write_text(json.dumps(config))
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
    return account


def looked_at(namespace: Namespace) -> dict[str, Finding]:
    account = account_of_steps(connect(), Reached(namespace.name), "")
    return {finding.what: finding for finding in examine_rights(connect(), namespace.name, account, None)}


@pytest.mark.parametrize("login", ["", ADMINISTRATOR, EDITOR, STEP_ACCOUNT], indirect=True)
def test_the_steps_rights_are_checked_and_not_the_users(namespace: Namespace, login: str) -> None:
    found = looked_at(namespace)
    assert len(found) == len(resources_used()) and all(finding.good for finding in found.values()), found
    assert all(f"service account {namespace.name}/{STEP_ACCOUNT} may " in finding.text for finding in found.values())
    namespace.kubectl("delete", "rolebinding", "tutelage-steps")
    lacking = looked_at(namespace)
    assert len(lacking) == len(resources_used()) and not any(finding.good for finding in lacking.values()), lacking


@pytest.mark.parametrize("login", [NOBODY], indirect=True)
def test_a_login_that_may_not_ask_reports_that_nothing_was_checked(namespace: Namespace, login: str) -> None:
    (unknown,) = looked_at(namespace).values()
    assert unknown.good and unknown.text.startswith("not checked: ")
