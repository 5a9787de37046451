"""The account that the steps of a run have, and how somebody else finds out what it may do."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from components.launch.cluster import Cluster
from components.launch.refusals import Unreachable
from components.shared.errors import JobError
from pipelines.cluster_objects import ACCOUNTS

KUBEFLOWS_ACCOUNTS = ("default-editor", "pipeline-runner")
"""What Kubeflow runs steps as where nothing else is named: in a profile's namespace, and where it has one user."""
GROUPS = ("system:serviceaccounts", "system:authenticated")

Ask = Callable[[Any], bool]
"""Whether an account may do what a V1ResourceAttributes says. Raises ApiException."""


@dataclass(frozen=True)
class Account:
    """A service account, by its namespace and name."""

    namespace: str
    name: str

    @property
    def user(self) -> str:
        """What the API server calls it."""
        return f"system:serviceaccount:{self.namespace}:{self.name}"

    def __str__(self) -> str:
        return f"service account {self.namespace}/{self.name}"


def account_of_steps(client: Any, steps: Cluster, named: str) -> Account:
    """The account that the steps will run as: the placement's, else the one of Kubeflow's own that asks or is there.

    Args:
        client: the API server's.
        steps: the namespace of the steps.
        named: `placement.service_account`.

    Raises:
        ApiException: the API server does not answer.
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
    """Ask about whoever is logged in: everybody may."""
    from kubernetes import client as api

    def ask(attributes: Any) -> bool:
        wanted = api.V1SelfSubjectAccessReview(spec=api.V1SelfSubjectAccessReviewSpec(resource_attributes=attributes))
        return bool(api.AuthorizationV1Api(client).create_self_subject_access_review(wanted).status.allowed)

    return ask


def way_to_ask(client: Any, account: Account, probe: Any) -> Ask | None:
    """A way to ask about an account that is open to this login; None when there is none.

    The account itself may ask; an administrator of its namespace may review it; an editor of its namespace may
    impersonate it (Kubernetes' own ClusterRoles admin and edit).

    Args:
        client: the API server's.
        account: who is asked about.
        probe: a V1ResourceAttributes to try the ways with.

    Raises:
        ApiException: the API server does not answer.
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
    """What the API server calls whoever is logged in; nothing where it does not say (before Kubernetes 1.28)."""
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
    """The same client in the account's name; the API server adds the account's groups."""
    from kubernetes.client import ApiClient

    return ApiClient(client.configuration, header_name="Impersonate-User", header_value=account.user)
