"""The service account of a run's steps, and how another login can check its permissions."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from components.launch.api.cluster import Cluster
from components.launch.api.refusals import Unreachable
from components.shared.errors import JobError
from pipelines.doctor.objects import ACCOUNTS

KUBEFLOWS_ACCOUNTS = ("default-editor", "pipeline-runner")
"""Kubeflow's default accounts of steps: in a profile's namespace, and in single-user mode."""
GROUPS = ("system:serviceaccounts", "system:authenticated")

Ask = Callable[[Any], bool]
"""Whether an account may do what a V1ResourceAttributes describes. Raises ApiException."""


@dataclass(frozen=True)
class Account:
    """A service account, by its namespace and name."""

    namespace: str
    name: str

    @property
    def user(self) -> str:
        """Its user name on the API server."""
        return f"system:serviceaccount:{self.namespace}:{self.name}"

    def __str__(self) -> str:
        return f"service account {self.namespace}/{self.name}"


def account_of_steps(client: Any, steps: Cluster, named: str) -> Account:
    """The account of the steps: the placement's, else the default account of Kubeflow that is logged in or exists.

    Args:
        client: the API server's.
        steps: the namespace of the steps.
        named: `placement.service_account`.

    Raises:
        ApiException: the API server does not respond.
    """
    if named:
        return Account(steps.namespace, named)
    own = [Account(steps.namespace, name) for name in KUBEFLOWS_ACCOUNTS]
    login = _login(client)
    asks = next((account for account in own if account.user == login), None)
    return asks or next((account for account in own if _is_there(steps, account.name)), own[0])


def _is_there(steps: Cluster, name: str) -> bool:
    try:
        return steps.get(ACCOUNTS, name) is not None
    except (JobError, Unreachable):
        return False


def ask_as_login(client: Any) -> Ask:
    """Check the permissions of the current login, which every login may do."""
    from kubernetes import client as api

    def ask(attributes: Any) -> bool:
        wanted = api.V1SelfSubjectAccessReview(spec=api.V1SelfSubjectAccessReviewSpec(resource_attributes=attributes))
        return bool(api.AuthorizationV1Api(client).create_self_subject_access_review(wanted).status.allowed)

    return ask


def way_to_ask(client: Any, account: Account, probe: Any) -> Ask | None:
    """How this login can check the permissions of an account; None when it cannot.

    The account itself may ask; an administrator of its namespace may review its access; an editor of its namespace
    may impersonate it (Kubernetes' ClusterRoles admin and edit).

    Args:
        client: the API server's.
        account: the account to check.
        probe: a V1ResourceAttributes to try each way with.

    Raises:
        ApiException: the API server does not respond.
    """
    from kubernetes.client import ApiException

    if _login(client) == account.user:
        return ask_as_login(client)
    impersonated = ask_as_login(_impersonating(client, account))
    for ask in (_local_review(client, account), _review(client, account), impersonated):
        try:
            ask(probe)
        except ApiException as error:
            if error.status != 403:
                raise
        else:
            return ask
    return None


def _login(client: Any) -> str:
    """The user name of the login; empty where the API server does not return it (before Kubernetes 1.28)."""
    from kubernetes import client as api

    try:
        found = api.AuthenticationV1Api(client).create_self_subject_review(api.V1SelfSubjectReview())
    except api.ApiException as error:
        if error.status in (403, 404):
            return ""
        raise
    return str(found.status.user_info.username)


def _local_review(client: Any, account: Account) -> Ask:
    from kubernetes import client as api

    def ask(attributes: Any) -> bool:
        wanted = api.V1LocalSubjectAccessReview(
            metadata=api.V1ObjectMeta(namespace=attributes.namespace), spec=_spec(account, attributes)
        )
        reviews = api.AuthorizationV1Api(client)
        found = reviews.create_namespaced_local_subject_access_review(attributes.namespace, wanted)
        return bool(found.status.allowed)

    return ask


def _review(client: Any, account: Account) -> Ask:
    from kubernetes import client as api

    def ask(attributes: Any) -> bool:
        wanted = api.V1SubjectAccessReview(spec=_spec(account, attributes))
        return bool(api.AuthorizationV1Api(client).create_subject_access_review(wanted).status.allowed)

    return ask


def _spec(account: Account, attributes: Any) -> Any:
    from kubernetes import client as api

    groups = [*GROUPS, f"{GROUPS[0]}:{account.namespace}"]
    return api.V1SubjectAccessReviewSpec(resource_attributes=attributes, user=account.user, groups=groups)


def _impersonating(client: Any, account: Account) -> Any:
    """A client that impersonates the account; the API server adds the account's groups."""
    from kubernetes.client import ApiClient

    return ApiClient(client.configuration, header_name="Impersonate-User", header_value=account.user)
