"""Whether the steps have the permissions that they need in the namespace of the jobs, checked verb by verb."""

from collections.abc import Iterator
from typing import Any

from components.launch.api.refusals import ROLE
from components.launch.api.resources import Resource
from components.launch.registry import custom_resources, resources_used
from components.shared.finding import Finding
from pipelines.doctor.account import Account, Ask, ask_as_login, way_to_ask
from pipelines.doctor.served import launchers_of
from pipelines.pipeline import Recipe


def examine_rights(client: Any, namespace: str, account: Account | None, moved: Recipe | None) -> Iterator[Finding]:
    """A finding for each resource of Tutelage's Role that the recipe needs.

    Args:
        client: the API server's.
        namespace: where the jobs run.
        account: whose permissions; None: those of the login, where that is the steps' account.
        moved: the recipe, its jobs moved to the cluster; None: everything is needed.
    """
    from kubernetes.client import ApiException

    unneeded = {one for name, one in custom_resources().items() if moved and name not in launchers_of(moved)}
    needed = [right for right in resources_used() if right not in unneeded]
    try:
        probe = _attributes(namespace, needed[0], needed[0].verbs[0])
        ask = way_to_ask(client, account, probe) if account else ask_as_login(client)
        if ask is None:
            yield _unknown(namespace, account)
            return
        for right in needed:
            yield _judged(ask, namespace, account, right)
    except ApiException as error:
        yield Finding("rights of the steps", False, f"{error.status} {error.reason}", "check the login")


def _judged(ask: Ask, namespace: str, account: Account | None, right: Resource) -> Finding:
    missing = [verb for verb in right.verbs if not ask(_attributes(namespace, right, verb))]
    subject = str(account or "this login")
    text = f"may not {', '.join(missing)}" if missing else f"may {', '.join(right.verbs)}"
    return Finding(
        f"right to {right.name}",
        not missing,
        f"{subject} {text} in namespace {namespace}",
        f"apply {ROLE} in namespace {namespace}, and bind it to {account or 'the service account of the steps'}",
    )


def _unknown(namespace: str, account: Account | None) -> Finding:
    return Finding(
        "rights of the steps",
        True,
        f"not checked: this login may not check the permissions of {account}, the account of the steps; "
        f"it needs the rights of {ROLE} in namespace {namespace}",
    )


def _attributes(namespace: str, right: Resource, verb: str) -> Any:
    from kubernetes import client as api

    resource, _, part = right.plural.partition("/")
    return api.V1ResourceAttributes(
        namespace=namespace, group=right.group, resource=resource, subresource=part or None, verb=verb
    )
