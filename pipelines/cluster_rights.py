"""What may be done in the namespace of the jobs, asked of the API server verb by verb."""

from collections.abc import Iterator
from typing import Any

from components.launch.refusals import ROLE
from components.launch.rights import RIGHTS, Right
from pipelines.cluster_served import SERVED, launchers_of
from pipelines.doctor import Finding
from pipelines.recipe import Recipe


def examine_rights(client: Any, namespace: str, account: str, moved: Recipe | None) -> Iterator[Finding]:
    """A finding for each kind of resource of the product's Role that the recipe needs.

    Asked for the steps' service account where it is named and this login may ask about others, else for this login.
    """
    from kubernetes.client import ApiException

    who = f"system:serviceaccount:{namespace}:{account}" if account else ""
    unneeded = {SERVED[name].plural for name in SERVED if moved and name not in launchers_of(moved)}
    for right in RIGHTS:
        if right.resource in unneeded:
            continue
        try:
            missing, asked = _missing(client, namespace, who, right)
        except ApiException as error:
            yield Finding(f"right to {right.name}", False, f"{error.status} {error.reason}", "check the login")
            return
        subject = f"service account {account}" if asked else "this login"
        yield Finding(
            f"right to {right.name}",
            not missing,
            f"{subject} may {', '.join(right.verbs)}"
            if not missing
            else f"{subject} may not {', '.join(missing)} in namespace {namespace}",
            f"apply {ROLE} in namespace {namespace}, and bind it to the service account that the steps run as",
        )


def _missing(client: Any, namespace: str, who: str, right: Right) -> tuple[list[str], bool]:
    """The verbs that are not granted, and whether they were asked for the account `who`."""
    from kubernetes.client import ApiException

    if who:
        try:
            return [verb for verb in right.verbs if not _allowed(client, namespace, who, right, verb)], True
        except ApiException as error:
            if error.status != 403:
                raise
    return [verb for verb in right.verbs if not _allowed(client, namespace, "", right, verb)], False


def _allowed(client: Any, namespace: str, who: str, right: Right, verb: str) -> bool:
    """Ask about one verb: by a SelfSubjectAccessReview, or a LocalSubjectAccessReview about another account."""
    from kubernetes import client as api

    resource, _, part = right.resource.partition("/")
    attributes = api.V1ResourceAttributes(
        namespace=namespace, group=right.group, resource=resource, subresource=part or None, verb=verb
    )
    reviews = api.AuthorizationV1Api(client)
    if who:
        groups = ["system:serviceaccounts", f"system:serviceaccounts:{namespace}", "system:authenticated"]
        asked = api.V1LocalSubjectAccessReview(
            metadata=api.V1ObjectMeta(namespace=namespace),
            spec=api.V1SubjectAccessReviewSpec(resource_attributes=attributes, user=who, groups=groups),
        )
        return bool(reviews.create_namespaced_local_subject_access_review(namespace, asked).status.allowed)
    own = api.V1SelfSubjectAccessReview(spec=api.V1SelfSubjectAccessReviewSpec(resource_attributes=attributes))
    return bool(reviews.create_self_subject_access_review(own).status.allowed)
