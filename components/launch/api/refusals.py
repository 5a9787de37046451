"""The errors of an API server, classified and explained.

An error that a retry cannot solve is a JobError that names the remedy. The caller handles the others: an object that
exists already, a version that is too old, a server that does not answer for now.
"""

import json
import re
from typing import Any

from kubernetes.client import ApiException

from components.launch.api.admission import OTHER, advise
from components.launch.api.resources import Resource
from components.shared.errors import JobError

ROLE = "k8s/base/role.yaml"
UNTRUSTED = "CERTIFICATE_VERIFY_FAILED"


class Unreachable(Exception):  # noqa: N818 - not an error yet: the request is retried
    """The server does not answer, or not now: connection refused or reset, 5xx, 429, 401."""


class Absent(Exception):  # noqa: N818
    """The object does not exist."""


class Conflict(Exception):  # noqa: N818
    """An object of this name exists already, or its uid is not the expected one."""


class Expired(Exception):  # noqa: N818
    """410: the version to watch from is too old; list again."""


class NotReady(Exception):  # noqa: N818
    """400 to a request for a log: the container has not started."""


class NotServed(JobError):  # noqa: N818
    """The API server does not serve this kind of resource: its operator is not installed."""


class Forbidden(JobError):  # noqa: N818
    """The service account lacks a right, or a quota or policy refuses the object."""


class MissingRight(Forbidden):
    """The service account lacks a right."""


PLAIN: dict[int, type[Exception]] = {409: Conflict, 410: Expired}


def refusal(error: ApiException, verb: str, resource: Resource, namespace: str) -> Exception:
    """The answer as one of the errors above, for a request with this verb and resource."""
    status, text, reason = error.status or 0, *_words(error)
    where = f"{resource.plural} in namespace {namespace}"
    if status in PLAIN:
        return PLAIN[status](text)
    if status == 403:
        return _forbidden(text, verb, resource, namespace)
    if status == 404:
        return _absent(text, reason, resource, namespace)
    if status == 0 and UNTRUSTED in text:
        return untrusted(text)
    if status in (0, 401, 429) or status >= 500:
        return Unreachable(f"{status or 'no answer'} to {verb} {where}: {text}")
    return _unacceptable(text, verb, resource, namespace)


def _unacceptable(text: str, verb: str, resource: Resource, namespace: str) -> Exception:
    if resource.kind == "Log":
        return NotReady(text)
    advice = advise(text, namespace)
    return JobError(
        f"the API server refuses to {verb} {resource.plural} in namespace {namespace}: {text}",
        rule=advice.rule if advice else "",
        remedy=advice.remedy
        if advice
        else "correct what it names in the recipe (launch, pods), or the policy that refuses it",
    )


def untrusted(text: str) -> JobError:
    """The server's certificate cannot be verified."""
    return JobError(
        f"the API server's certificate is not trusted: {text.splitlines()[-1]}",
        rule="TLS is always verified",
        remedy="set the cluster's certificate authority in the kubeconfig (certificate-authority-data)",
    )


def _words(error: ApiException) -> tuple[str, str]:
    """The server's message, and the reason of its Status object (empty where the answer is not a Status)."""
    body: Any = error.body
    text = body.decode(errors="replace") if isinstance(body, bytes) else body or error.reason or ""
    try:
        status = json.loads(text)
    except ValueError:
        return text.strip(), ""
    return (str(status.get("message", text)), str(status.get("reason", ""))) if isinstance(status, dict) else (text, "")


def _forbidden(text: str, verb: str, resource: Resource, namespace: str) -> Forbidden:
    denied = re.search(r'User "(?P<user>[^"]+)" cannot (?P<verb>\w+) resource "(?P<resource>[^"]+)"', text)
    if denied is None:
        advice = advise(text, namespace) or OTHER
        problem = f"the cluster refuses to {verb} {resource.plural} in namespace {namespace}: {text}"
        return Forbidden(problem, rule=advice.rule, remedy=advice.remedy)
    group = f" of {resource.group}" if resource.group else ""
    return MissingRight(
        f"{_account(denied['user'])} may not {denied['verb']} {denied['resource']}{group} in namespace {namespace}",
        rule=f"a step needs the rights of {ROLE}",
        remedy=f"apply {ROLE} in namespace {namespace} and bind it to this account",
    )


def _account(user: str) -> str:
    _, _, name = user.partition("system:serviceaccount:")
    return f"service account {name.replace(':', '/')}" if name else f"user {user}"


def _absent(text: str, reason: str, resource: Resource, namespace: str) -> Exception:
    if reason == "NotFound" and text.startswith("namespaces "):
        return JobError(
            f"namespace {namespace!r} does not exist",
            remedy="create it, or name another one in launch.pods.namespace",
        )
    if reason == "NotFound" and "the server could not find the requested resource" not in text:
        return Absent(text)
    return not_served(resource)


def not_served(resource: Resource) -> NotServed:
    """The API server does not serve this kind."""
    return NotServed(
        f"this cluster does not serve {resource.kind} ({resource.name}/{resource.version})",
        remedy=f"install {resource.operator or 'its operator'} ({resource.api_version}), or choose another launcher",
    )
